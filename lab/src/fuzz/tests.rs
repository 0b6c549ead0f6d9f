use super::names;
use super::page::{NONE, Page, Row};

const LOG: &str = "\
INFO: Seed: 1
#2\tINITED cov: 100 ft: 101 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tpulse  cov: 432 ft: 900 corp: 80/9Kb lim: 43 exec/s: 2048 rss: 60Mb
#9000\tDONE   cov: 433 ft: 901 corp: 81/9Kb lim: 80 exec/s: 900 rss: 61Mb
Done 9000 runs in 11 second(s)
stat::number_of_executed_units: 9000
stat::average_exec_per_sec:     900
";

#[test]
fn programs_are_named_in_the_manifest() {
    let text = "[package]\nname = \"x\"\n\n[[bin]]\nname = \"one\"\n\n[[bin]]\nname = \"two\"\n";
    assert_eq!(names(text), ["one", "two"]);
}

#[test]
fn figures_are_read_and_the_page_says_them_again() {
    let row = Row::read("one", 10, LOG).expect("figures");
    assert_eq!((row.seconds, row.executions, row.corpus, row.edges), (11, 9000, 81, 433));
    let mut page = Page::default();
    page.put(row.clone());
    let read = Page::read(&page.text("a machine"));
    assert_eq!(read, page);
    assert!(read.has("one", 10));
    assert!(!read.has("one", 12), "not so long");
    assert!(!read.has("two", 1));

    page.put(Row { findings: "crash-abc".to_owned(), ..row });
    assert!(!Page::read(&page.text("a machine")).has("one", 10), "something was found");
}

#[test]
fn a_run_that_was_ended_by_a_finding_has_figures_too() {
    let cut: String = LOG
        .lines()
        .filter(|line| !line.starts_with("Done") && !line.contains("DONE"))
        .map(|line| format!("{line}\n"))
        .collect();
    let row = Row::read("one", 600, &cut).expect("figures");
    assert_eq!((row.seconds, row.executions, row.corpus), (10, 9000, 80));
    assert_eq!(row.findings, NONE);
    assert!(Row::read("one", 600, "==1== ERROR").is_err());
}
