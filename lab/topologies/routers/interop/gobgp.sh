gobgp global rib add 10.9.3.0/24 nexthop 192.168.3.2 @attributes@
gobgp global rib -a ipv6 add fd00:10:9:3::/64 nexthop fd00:192:168:3::2 @attributes6@
@more@
