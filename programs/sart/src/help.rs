//! Examples at the end of help texts.

pub(crate) const ALL: &str = "\
Examples:
  sart bgp neighbors                      sessions, and why one is not up
  sart bgp explain 10.0.1.0/32            why this path is best, and who is sent it
  sart bgp apply -f router.yaml --dry-run what would change, and which sessions it resets
  sart watch                              what happens, as it happens
  sart -o json bgp global get             all that there is, for programs
  sart -e 127.0.0.1:5000 fib get          another place than this node's socket

Exit codes: 0 done, 1 no router answers, 2 wrong usage or refused.";

pub(crate) const NEIGHBORS: &str = "\
Examples:
  sart bgp neighbors                      one line each
  sart bgp neighbors -o wide              more columns
  sart bgp neighbors 10.0.0.3             one fully: its last error, session and counters
  sart bgp neighbors spine0               the same by its name";

pub(crate) const NEIGHBOR: &str = "\
Examples:
  sart bgp neighbor add 10.0.0.3 65010 --name spine0
  sart bgp neighbor rib 10.0.0.3          what it sent
  sart bgp neighbor rib 10.0.0.3 -k out   what it is sent
  sart bgp neighbor policy 10.0.0.3       its policies, as they are written
  sart bgp neighbor del 10.0.0.3 --dry-run";

pub(crate) const EXPLAIN: &str = "\
Examples:
  sart bgp explain 10.0.1.0/24            a prefix
  sart bgp explain 10.0.1.7               an address: its longest match
  sart bgp explain 10.0.1.0/24 --neighbor spine0
                                          why this neighbor is sent it or not, in full";

pub(crate) const TABLES: &str = "\
Examples:
  sart bgp rib                            all IPv4 paths, the best marked
  sart bgp rib 10.0.1.0/24                one prefix
  sart bgp rib 10.0.1.7                   the longest match of an address
  sart bgp rib -a ipv6 --neighbor spine0  IPv6 paths that came from spine0
  sart bgp rib in --neighbor 10.0.0.3     what it sent, before import policies
  sart bgp rib in --accepted --neighbor 10.0.0.3
  sart bgp rib out --neighbor spine0 --longer 10.0.0.0/8
  sart bgp rib --community 65000:100 --as-path '65001 .*'";

pub(crate) const RESET: &str = "\
Examples:
  sart bgp reset 10.0.0.3 --soft in       ask for its routes again
  sart bgp reset --soft both              all neighbors
  sart bgp reset spine0 --message 'new optics'
                                          end the session, and begin it anew
  sart bgp reset --all                    all sessions";

pub(crate) const APPLY: &str = "\
Before the document is applied it is said which sessions it resets, and why.

Examples:
  sart bgp apply -f router.yaml --dry-run
  sart bgp apply -f router.yaml --keep-sessions
  generate | sart bgp apply -f - --owner generator";

pub(crate) const RELOAD: &str = "\
A file with a problem changes nothing: what was read before stays in force.

Examples:
  sart bgp reload --dry-run               what would change, and which sessions it resets
  sart bgp reload --keep-sessions         refuse it if a session is reset
  pkill -HUP -fx '[^ ]*sartd bgp.*'       the same without sart; problems are in the log";

pub(crate) const FORGET: &str = "\
Examples:
  sart bgp forget generator --dry-run
  sart bgp forget generator";

pub(crate) const POLICY: &str = "\
Examples:
  sart bgp policy list                    names, owners, and who uses them
  sart bgp policy show from-spines        as it is written";

pub(crate) const BFD: &str = "\
Examples:
  sart bgp bfd
  sart bgp bfd -o wide                    more columns
  sart bgp bfd spine0 -o yaml";

pub(crate) const BMP: &str = "\
Examples:
  sart bgp bmp list
  sart bgp bmp list -o wide               more columns
  sart bgp bmp list -o json

Stations are the document's key `bmp`.";

pub(crate) const MRT: &str = "\
Examples:
  sart bgp mrt show
  sart bgp mrt show -o yaml

Files are the document's key `mrt`.";

pub(crate) const WATCH: &str = "\
Examples:
  sart watch                              sessions and conditions
  sart watch --neighbor spine0            only this session
  sart watch --prefix 10.0.0.0/8          changes of best paths in it
  sart watch --kind best --kind session
  sart watch -o json                      one object a line, for programs
  sart watch -n 1                         the next event";

pub(crate) const SET: &str = "\
Examples:
  sart bgp global set --asn 65000 --router-id 10.0.0.2
  sart bgp global set --multi-path=false --dry-run";

pub(crate) const RIB: &str = "\
Examples:
  sart bgp global rib get                 all IPv4 routes, the best marked
  sart bgp global rib get -a ipv6
  sart bgp global rib add 10.0.10.0/24 -t med=5 -t community=65000:1
  sart bgp global rib del 10.0.10.0/24";

pub(crate) const FIB: &str = "\
Examples:
  sart fib list                           all IPv4 routes
  sart fib list -a ipv6
  sart fib list 2001:db8::/32             one prefix
  sart fib list 10.0.1.7                  what is done with packets to it";

pub(crate) const CHANNEL: &str = "\
Examples:
  sart fib channel list
  sart fib channel route main             its best routes, and how they stand in the kernel
  sart -e 127.0.0.1:5001 fib channel get main";

pub(crate) const SET_ROUTES: &str = "\
Examples:
  sart fib channel set main --owner ops '10.0.0.0/24 via 10.1.0.1' '10.9.0.0/16 blackhole'
  sart fib channel set main --owner ops '10.0.0.0/24 via fe80::1 dev eth0 weight 2 via 10.1.0.1'
  sart fib channel set main --owner ops -f routes.txt --distance 30
  sart fib channel forget main --owner ops";

pub(crate) const COMPLETION: &str = "\
Examples:
  sart completion bash > /etc/bash_completion.d/sart
  sart completion zsh --for kubectl-sart > ~/.zfunc/_kubectl-sart";

pub(crate) const MAN: &str = "\
Examples:
  sart man /usr/local/share/man/man1      sart(1), and a page for each command
  man sart-bgp-neighbors";
