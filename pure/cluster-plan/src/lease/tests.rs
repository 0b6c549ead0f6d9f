use super::*;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_elapsed(Duration::from_secs(seconds))
}

/// One stored Lease and those who want it; each step is done at once unless the API is away.
struct Api {
    stored: Option<Record>,
    away: bool,
    version: u64,
}

impl Api {
    fn new() -> Api {
        Api { stored: None, away: false, version: 0 }
    }

    /// Lets one do all that it wants at this moment.
    fn run(&mut self, elector: &mut Elector, now: Timestamp) {
        for _ in 0..4 {
            match elector.step(now) {
                Step::Wait(until) => {
                    assert!(until > now, "a wait that is over");
                    return;
                }
                _ if self.away => elector.failed(now),
                Step::Read => elector.read(now, self.stored.clone()),
                Step::Write { holder, transitions, version } => {
                    match self.write(holder, transitions, version) {
                        Some(record) => elector.wrote(now, record),
                        None => elector.failed(now),
                    }
                }
            }
        }
        panic!("never waits");
    }

    fn write(
        &mut self,
        holder: String,
        transitions: i32,
        version: Option<String>,
    ) -> Option<Record> {
        if self.stored.as_ref().map(|stored| stored.version.clone()) != version {
            return None;
        }
        self.version += 1;
        self.stored = Some(Record { holder, transitions, version: self.version.to_string() });
        self.stored.clone()
    }
}

fn two() -> (Elector, Elector) {
    (Elector::new("a", Timing::default()), Elector::new("b", Timing::default()))
}

#[test]
fn the_first_leads_and_keeps_it() {
    let (mut api, (mut a, mut b)) = (Api::new(), two());
    for second in 0..120 {
        api.run(&mut a, at(second));
        api.run(&mut b, at(second));
        assert!(a.leads(at(second)), "at {second}");
        assert!(!b.leads(at(second)), "at {second}");
    }
    assert_eq!(b.holder(), Some("a"));
}

#[test]
fn a_dead_leader_is_followed_after_the_duration() {
    let (mut api, (mut a, mut b)) = (Api::new(), two());
    api.run(&mut a, at(0));
    let led = (0..60).find(|second| {
        api.run(&mut b, at(*second));
        b.leads(at(*second))
    });
    assert!(matches!(led, Some(15..=18)), "{led:?}");
    assert!(!a.leads(at(led.unwrap())), "two leaders");
    assert_eq!(api.stored.unwrap().transitions, 1);
}

#[test]
fn never_two_leaders_and_the_api_away_means_none() {
    let (mut api, (mut a, mut b)) = (Api::new(), two());
    for second in 0..300 {
        // Away from 50 to 110; a hangs (is not run) from 150 to 200.
        api.away = (50..110).contains(&second);
        let a_hangs = (150..200).contains(&second);
        if !a_hangs {
            api.run(&mut a, at(second));
        }
        api.run(&mut b, at(second));
        assert!(!(a.leads(at(second)) && b.leads(at(second))), "two leaders at {second}");
        match second {
            62..110 => assert!(!a.leads(at(second)), "leads without the API at {second}"),
            115..150 => assert!(a.leads(at(second)) || b.leads(at(second)), "none at {second}"),
            170..300 => assert!(b.leads(at(second)), "b does not lead at {second}"),
            _ => {}
        }
    }
}

#[test]
fn given_back_it_is_taken_at_once() {
    let (mut api, (mut a, mut b)) = (Api::new(), two());
    api.run(&mut a, at(0));
    api.run(&mut b, at(0));
    let Some(Step::Write { holder, transitions, version }) = a.release(at(1)) else {
        panic!("nothing to give back")
    };
    assert!(!a.leads(at(1)));
    assert!(api.write(holder, transitions, version).is_some());
    api.run(&mut b, at(2));
    assert!(b.leads(at(2)));
    assert!(b.release(at(2)).is_some());
    assert!(a.release(at(2)).is_none(), "who does not lead has nothing to give back");
}

#[test]
fn a_lost_lease_is_noticed_on_the_next_renewal() {
    let (mut api, (mut a, _)) = (Api::new(), two());
    api.run(&mut a, at(0));
    api.stored = Some(Record { holder: "c".into(), transitions: 9, version: "x".into() });
    api.run(&mut a, at(2));
    api.run(&mut a, at(4));
    assert!(!a.leads(at(4)));
}
