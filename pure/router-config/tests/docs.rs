//! The examples of the manual are documents.

#![allow(clippy::unwrap_used)]

use router_config::Document;

#[test]
fn each_example_is_accepted() {
    let mut count = 0;
    for manual in [include_str!("../../../docs/router.md"), include_str!("../../../docs/policy.md")]
    {
        for block in manual.split("```yaml\n").skip(1) {
            let example = block.split("```").next().unwrap();
            let document = match Document::parse(example, "example") {
                Ok(document) => document,
                Err(problems) => panic!("{example}\n{problems:#?}"),
            };
            document.policies("example").unwrap();
            let written = document.to_yaml().unwrap();
            assert_eq!(Document::parse(&written, "again").as_ref(), Ok(&document), "{written}");
            count += 1;
        }
    }
    assert!(count > 15, "{count}");
}
