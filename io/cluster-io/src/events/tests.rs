use super::*;

fn note(reason: &str) -> Note {
    Note {
        about: Target::new(Kind::Service, "default", "web"),
        uid: Some("u".to_owned()),
        warning: true,
        reason: reason.to_owned(),
        message: "m".to_owned(),
    }
}

fn state(now: Instant) -> State {
    State { tokens: BURST, refilled: now, known: BTreeMap::new() }
}

fn admit(state: &mut State, note: &Note, now: Instant) -> Option<Known> {
    match state.admit(note, now) {
        Admitted::New(known) => Some(known),
        Admitted::Known | Admitted::Full => None,
    }
}

#[test]
fn the_same_is_told_once_and_counted_later() {
    let now = Instant::now();
    let mut state = state(now);
    let first = admit(&mut state, &note("pool-exhausted"), now).unwrap();
    assert_eq!(first.count, 1);
    assert!(admit(&mut state, &note("pool-exhausted"), now + AGAIN_AFTER / 2).is_none());
    assert!(
        admit(&mut state, &note("unknown-pool"), now).is_some(),
        "another reason is another Event"
    );
    let again = admit(&mut state, &note("pool-exhausted"), now + AGAIN_AFTER).unwrap();
    assert_eq!(again.count, 2);
    assert_ne!(again.name, first.name, "it is an Event of its own");
}

#[test]
fn a_flood_is_bounded_in_rate_and_memory() {
    let now = Instant::now();
    let mut state = state(now);
    let flood = |state: &mut State, at: Instant, from: usize| {
        (from..from + 1000).filter(|n| admit(state, &note(&n.to_string()), at).is_some()).count()
    };
    assert_eq!(flood(&mut state, now, 0), BURST as usize);
    assert_eq!(flood(&mut state, now + REFILL * 10, 1000), 10);
    for round in 0..200 {
        flood(&mut state, now + Duration::from_secs(60 * round), 2000 * (round as usize + 1));
    }
    assert!(state.known.len() <= REMEMBERED);
}

#[test]
fn a_node_is_found_by_its_name() {
    let reference = about(&Target::cluster(Kind::Node, "n0"), Some("uid"));
    assert_eq!(reference.uid.as_deref(), Some("n0"));
    assert_eq!(reference.namespace, None);
    assert!(event_name("web").starts_with("web."));
}

#[test]
fn plain_facts_leave_room_for_warnings() {
    let now = Instant::now();
    let mut state = state(now);
    let fact = |n: u32| Note { warning: false, ..note(&n.to_string()) };
    let told = (0..100).filter(|n| admit(&mut state, &fact(*n), now).is_some()).count();
    assert!(told < BURST as usize);
    assert!(admit(&mut state, &note("pool-exhausted"), now).is_some());
}
