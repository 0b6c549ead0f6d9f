//! Routes of others, offered to be announced.

use super::driver::check_told;

const BED: &str = "
    link 1 up
    link 2 up
    foreign 10.1.0.0/16 %1
    foreign 10.2.0.0/16 10.1.0.1%1
    foreign fe80::/64 %1
    foreign 127.0.0.0/8 %2
    sync
";

#[test]
fn what_is_selected_is_told_and_taken_back() {
    // The driver's foreign routes are static ones.
    let all = "10.1.0.0/16 Static %1; 10.2.0.0/16 Static 10.1.0.1%1";
    check_told(&format!("{BED}\n redistribute static"), all);
    check_told(&format!("{BED}\n redistribute any"), all);
    check_told(&format!("{BED}\n redistribute connected"), "");
    check_told(&format!("{BED}\n redistribute 4"), "");
    check_told(
        &format!("{BED}\n redistribute static\n redistribute"),
        "10.1.0.0/16 gone; 10.2.0.0/16 gone",
    );
    check_told(&format!("{BED}\n redistribute static\n sync"), "");
}

#[test]
fn changes_are_followed_and_the_lowest_metric_is_told() {
    let bed = format!("{BED}\n redistribute static");
    check_told(&format!("{bed}\n foreign- 10.2.0.0/16 10.1.0.1%1"), "10.2.0.0/16 gone");
    check_told(&format!("{bed}\n foreign 10.2.0.0/16 10.1.0.2%1 100"), "");
    check_told(
        &format!("{bed}\n foreign 10.2.0.0/16 10.1.0.2%1 100\n foreign- 10.2.0.0/16 10.1.0.1%1"),
        "10.2.0.0/16 Static 10.1.0.2%1",
    );
    check_told(&format!("{bed}\n bgp 30.0.0.0/8 10.1.0.1"), "");
}

#[test]
fn what_leads_out_of_a_dead_link_is_not_told() {
    let bed = format!("{BED}\n redistribute static");
    let gone = "eth1 down; 10.1.0.0/16 gone; 10.2.0.0/16 gone";
    check_told(&format!("{bed}\n link 1 down"), gone);
    let back = "eth1 up; 10.1.0.0/16 Static %1; 10.2.0.0/16 Static 10.1.0.1%1";
    check_told(&format!("{bed}\n link 1 down\n link 1 up"), back);
    // One live leg is enough.
    let two = format!("{bed}\n foreign= 10.2.0.0/16 10.1.0.1%1,10.3.0.1%2");
    check_told(&format!("{two}\n link 1 down"), "eth1 down; 10.1.0.0/16 gone");
}
