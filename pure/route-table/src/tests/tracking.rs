//! What the speaker is told.

use super::driver::check_told;

const BED: &str = "
    link 1 up
    addr 1 169.254.1.1
    foreign 169.254.1.0/30 %1
    foreign 9.9.9.9/32 169.254.1.2%1 30
    sync
";

#[track_caller]
fn check(lines: &str, told: &str) {
    check_told(&format!("{BED}{lines}"), told);
}

#[test]
fn a_tracked_next_hop_is_told_once_and_at_each_change() {
    check("track 9.9.9.9", "9.9.9.9=169.254.1.2%1 metric 30");
    check("track 169.254.1.2", "169.254.1.2=169.254.1.2%1 metric 0");
    check("track 9.9.9.9\n foreign 8.0.0.0/8 169.254.1.2%1", "");
    check("track 9.9.9.9\n foreign 9.0.0.0/8 169.254.1.2%1", "");
    check("track 9.9.9.9\n foreign- 9.9.9.9/32 169.254.1.2%1 30", "9.9.9.9: no-route");
    check("track 8.8.8.8", "8.8.8.8: no-route");
    check("track 8.8.8.8\n foreign 8.0.0.0/8 169.254.1.2%1", "8.8.8.8=169.254.1.2%1 metric 0");
    check("track 8.8.8.8\n bgp 8.0.0.0/8 9.9.9.9", "8.8.8.8=169.254.1.2%1 metric 30");
    check("track 8.8.8.8\n bgp 8.0.0.0/8 9.9.9.9\n bgp 8.0.0.0/8 -", "8.8.8.8: no-route");
    check("track 9.9.9.9\n untrack 9.9.9.9\n link 1 down", "eth1 down");
}

#[test]
fn a_next_hop_behind_routes_of_ours_follows_them() {
    let behind = "track 8.8.8.8\n bgp 8.0.0.0/8 7.7.7.7\n";
    check(behind, "");
    let found = "8.8.8.8=169.254.1.2%1 metric 30";
    check(&format!("{behind} bgp 7.0.0.0/8 9.9.9.9"), found);
    check(&format!("{behind} foreign 7.0.0.0/8 169.254.1.2%1 30"), found);
    let both = format!("{behind} bgp 7.0.0.0/8 9.9.9.9\n");
    check(&format!("{both} bgp 7.0.0.0/8 -"), "8.8.8.8: no-route");
    check(&format!("{both} foreign- 9.9.9.9/32 169.254.1.2%1 30"), "8.8.8.8: no-route");
    check(&format!("{both} link 1 down"), "eth1 down; 8.8.8.8: no-route");
    check(&format!("{both} static 7.0.0.0/8 blackhole"), "8.8.8.8: no-route");
    check(&format!("{both} static 8.0.0.0/8 blackhole"), "8.8.8.8: rejected");
}

#[test]
fn each_reason_has_its_name() {
    check("track 9.9.9.9\n link 1 down", "eth1 down; 9.9.9.9: link-down");
    check("track 169.254.1.1", "169.254.1.1: own-address");
    check("track 9.9.9.9\n addr 1 9.9.9.9", "eth1 [9.9.9.9, 169.254.1.1]; 9.9.9.9: own-address");
    check("foreign 8.0.0.0/8 blackhole\n track 8.8.8.8", "8.8.8.8: rejected");
    check("track fe80::1", "fe80::1: link-unknown");
    check("track fe80::1%eth1", "fe80::1%eth1=fe80::1%1 metric 0");
    check("track fe80::1%eth2", "fe80::1%eth2: link-down");
}

#[test]
fn links_and_addresses_are_told() {
    check("link 2 up", "eth2 up");
    check("link 2 up\n link 2 up", "");
    check("link 2 up\n link 2 down", "eth2 down");
    check("addr 1 fd00::1", "eth1 [169.254.1.1, fd00::1]");
    check("addr 1 fd00::1\n addr- 1 169.254.1.1", "eth1 [fd00::1]");
    check("link 1 gone", "eth1 []; eth1 down");
    check("sync", "");
}

#[test]
fn before_the_kernel_was_read_nothing_is_told() {
    check_told("track 9.9.9.9", "");
    check_told("link 1 up\n track 9.9.9.9\n sync", "eth1 up; 9.9.9.9: no-route");
}
