gobgp global rib add %v4% nexthop %me% @attributes@
gobgp global rib -a ipv6 add %v6% nexthop %me6% @attributes6@
@more@
