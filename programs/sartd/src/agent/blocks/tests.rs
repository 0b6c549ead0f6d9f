use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;

/// Gives a block back to an API server that answers so, one answer per write.
async fn check(unsure: bool, answers: &[Outcome], expect: Release) {
    let left = RefCell::new(answers.iter().cloned().collect::<VecDeque<_>>());
    let write = |write: Write| {
        let answer = left.borrow_mut().pop_front();
        let is_delete = matches!(write.action, Action::Delete { .. });
        assert_eq!(is_delete, answers.len() == 2 && left.borrow().is_empty(), "{write:?}");
        async move { answer.expect("no more is written") }
    };
    let got = release("block", unsure, write).await;
    assert_eq!(got, expect, "{unsure} {answers:?}");
    assert!(left.borrow().is_empty(), "too little is written: {answers:?}");
}

#[tokio::test]
async fn a_block_that_may_be_gone_is_not_used_again() {
    let done = || Outcome::Done(None);
    let later = || Outcome::Later("no answer".to_owned());
    let refused = || Outcome::Refused("not yours".to_owned());
    check(false, &[done(), done()], Release::Gone).await;
    // Nobody was there to hear of it, so nothing has happened.
    check(false, &[later()], Release::Kept).await;
    check(false, &[refused()], Release::Kept).await;
    // The deletion was sent and its answer was lost.
    check(false, &[done(), later()], Release::Unsure).await;
    check(true, &[later()], Release::Unsure).await;
    check(true, &[refused()], Release::Unsure).await;
    // It is there, and stays.
    check(false, &[done(), refused()], Release::Kept).await;
    check(true, &[done(), refused()], Release::Kept).await;
    // It is gone already, which the watch has not told yet.
    check(false, &[Outcome::Conflict], Release::Unsure).await;
    check(true, &[Outcome::Conflict], Release::Unsure).await;
    check(true, &[done(), done()], Release::Gone).await;
}
