//! TCP-AO (RFC 5925): on a kernel that has it, sessions with it and keys that change under them; on
//! others, that nothing goes on without.

use inet::{AoAlgorithm, AoKey, Secret};
use node_api::v1::{self, SessionState};
use sockets::AoProbe;

use crate::world::{Router, World, eventually};
use crate::{LEFT, RIGHT};

const SENTENCE: &str = "this kernel has no TCP-AO (Linux 6.7 with CONFIG_TCP_AO)";

/// A document whose IPv4 session has these keys, and whose IPv6 session has none.
fn with(document: &str, keys: &str) -> String {
    let ao = if keys.is_empty() { String::new() } else { format!(", tcp_ao: {{keys: [{keys}]}}") };
    let (old, six, asn) = match document == LEFT {
        true => ("65002}", "fd00::2", 65002),
        false => ("65001}", "fd00::1", 65001),
    };
    let six = format!("{{name: six, address: '{six}', asn: {asn}}}");
    document.replace(old, &format!("{asn}{ao}}}, {six}"))
}

async fn neighbor(router: &Router, four: bool) -> Option<v1::Neighbor> {
    let all = router.client().neighbors(None).await.ok()?.neighbors;
    all.into_iter().find(|neighbor| neighbor.address.contains('.') == four)
}

async fn is_up(router: &Router, four: bool) -> bool {
    neighbor(router, four).await.is_some_and(|n| n.state() == SessionState::Established)
}

/// Why this kernel has none.
pub(crate) fn refusal() -> Option<String> {
    let secret = Secret::new("probe").unwrap();
    let algorithm = AoAlgorithm::HmacSha1;
    let key = AoKey { send_id: 1, receive_id: 1, algorithm, include_options: true, secret };
    AoProbe::default().refusal(true, &[key])
}

#[test]
fn a_session_with_ao_has_it_or_is_none() {
    let name = "sessions::ao::a_session_with_ao_has_it_or_is_none";
    let Some(world) = World::enter(name) else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        use std::os::unix::fs::PermissionsExt as _;
        let file = world.directory().join("ao");
        std::fs::write(&file, "s3cret-one\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let one = format!("{{id: 1, key_file: {}}}", file.display());
        let two = "{send_id: 2, recv_id: 2, key: s3cret-two, algorithm: aes-128-cmac-96}";
        let (left, right) = (a.bare_router("left", &[]), b.bare_router("right", &[]));
        left.wait_until_up().await;
        right.wait_until_up().await;
        match refusal() {
            Some(reason) => {
                assert_eq!(reason, SENTENCE);
                eprintln!("SKIPPED: {name}: {reason}");
                nothing_without(&left, &right, &format!("{one}, {two}")).await;
            }
            None => keys_change(&left, &right, &one, two).await,
        }
        let stored = left.run_dir().join("desired/agent.json");
        let mode = std::fs::metadata(stored).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "others may read the stored keys");
        for log in [left.log(), right.log()] {
            assert!(!log.contains("s3cret"), "a key is in the log: {log}");
        }
    });
}

/// On a kernel without it nobody is dialled and nobody let in, and other sessions are as they were.
async fn nothing_without(left: &Router, right: &Router, keys: &str) {
    let signed = with(LEFT, keys);
    for dry_run in [true, false] {
        let reply = left.client().apply("agent", 1, &signed, dry_run).await.unwrap();
        assert!(reply.accepted && !format!("{reply:?}").contains("s3cret"), "{reply:?}");
        let [word] = &reply.conflicts[..] else { panic!("{reply:?}") };
        assert!(word.starts_with(&format!("neighbor 10.0.0.2: {SENTENCE}")), "{word}");
        assert!(word.contains("KeyNotInForce"), "{word}");
    }
    assert!(right.client().apply("agent", 1, &with(RIGHT, ""), false).await.unwrap().accepted);
    eventually("the session without keys is there", async || is_up(left, false).await).await;
    eventually("the dial is refused by name", async || {
        let error = neighbor(left, true).await.and_then(|n| n.last_error);
        error.is_some_and(|error| error.message.contains(SENTENCE))
    })
    .await;
    eventually("who comes without is not let in", async || {
        left.log().contains("its TCP key is not in force")
    })
    .await;
    eventually("the other end has been turned away", async || {
        neighbor(right, true).await.is_some_and(|n| n.last_error.is_some())
    })
    .await;
    let shown = neighbor(left, true).await.unwrap();
    assert_ne!(shown.state(), SessionState::Established);
    assert_eq!((shown.key_error.as_str(), shown.established), (SENTENCE, 0));
    assert_eq!(shown.authentication, "tcp-ao");
    let ids: Vec<_> = shown.tcp_ao_keys.iter().map(|key| (key.send_id, key.recv_id)).collect();
    assert_eq!(ids, [(1, 1), (2, 2)]);
    assert_eq!(shown.tcp_ao_keys[1].algorithm, "aes-128-cmac-96");
    assert!(!format!("{shown:?}").contains("s3cret"), "{shown:?}");
    let global = left.client().global().await.unwrap();
    let condition = global.conditions.iter().find(|c| c.name == "KeyNotInForce").unwrap();
    let words = format!("neighbor 10.0.0.2: {SENTENCE}; it is not let in");
    assert_eq!(condition.message, words);

    let plain = with(LEFT, "");
    assert!(left.client().apply("agent", 2, &plain, false).await.unwrap().accepted);
    eventually("without keys it is there", async || is_up(left, true).await).await;
    assert_eq!(neighbor(left, true).await.unwrap().key_error, "");
    let other = neighbor(left, false).await.unwrap();
    assert_eq!((other.flaps, other.established), (0, 1), "the other session was disturbed");
}

/// Keys change one end after the other, and no session is lost.
async fn keys_change(left: &Router, right: &Router, one: &str, two: &str) {
    let both = format!("{one}, {two}");
    let turned = format!("{two}, {one}");
    let mut generation = 0;
    for keys in [one, &both, &turned, two] {
        generation += 1;
        for (router, document) in [(left, LEFT), (right, RIGHT)] {
            let document = with(document, keys);
            let reply = router.client().apply("agent", generation, &document, false).await.unwrap();
            assert!(reply.accepted && reply.resets.is_empty(), "{reply:?}");
            assert!(reply.conflicts.is_empty(), "{reply:?}");
        }
        eventually("the session is there", async || is_up(left, true).await).await;
        let shown = neighbor(left, true).await.unwrap();
        assert_eq!((shown.authentication.as_str(), shown.flaps), ("tcp-ao", 0));
        assert_eq!(shown.tcp_ao_keys.len(), keys.matches("key").count());
    }
    // Another key by the same id cannot be had live, and is not the peer's.
    let other = with(LEFT, &two.replace("s3cret-two", "s3cret-three"));
    for dry_run in [true, false] {
        let reply = left.client().apply("agent", 9, &other, dry_run).await.unwrap();
        let [reset] = &reply.resets[..] else { panic!("{reply:?}") };
        assert!(reset.reason.contains("tcp_ao"), "{reset:?}");
    }
    eventually("it is dialled in vain", async || {
        neighbor(left, true).await.is_some_and(|n| n.flaps == 1 && n.connect_retries > 0)
    })
    .await;
    assert!(!is_up(left, true).await && !is_up(right, true).await);
    assert!(right.client().apply("agent", 9, &with(RIGHT, ""), false).await.unwrap().accepted);
    let retries = async || neighbor(left, true).await.map_or(0, |n| n.connect_retries);
    let before = retries().await;
    eventually("it is dialled again", async || retries().await > before).await;
    assert!(!is_up(left, true).await, "it came up without a key");
}
