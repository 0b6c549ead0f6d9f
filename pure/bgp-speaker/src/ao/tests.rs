use inet::{AoAlgorithm, Secret};

use super::*;

fn ao(keys: &[(u8, u8, &str)]) -> Option<TcpAo> {
    let key = |(send_id, receive_id, secret): &(u8, u8, &str)| AoKey {
        send_id: *send_id,
        receive_id: *receive_id,
        algorithm: AoAlgorithm::HmacSha1,
        include_options: true,
        secret: Secret::new(secret).unwrap(),
    };
    Some(TcpAo { keys: keys.iter().map(key).collect() })
}

#[test]
fn a_connection_lives_through_a_change_of_keys_that_leaves_it_one() {
    use AoChange::{Live, Nothing, Reset};
    let one = ao(&[(1, 1, "a")]);
    for (new, change) in [
        (one.clone(), Nothing),
        (ao(&[(1, 1, "a"), (2, 2, "b")]), Live),
        (ao(&[(2, 2, "b"), (1, 1, "a")]), Live),
        // The new one is put beside the old one, which then goes.
        (ao(&[(2, 3, "b")]), Live),
        // One id cannot be two keys, be it in one direction alone.
        (ao(&[(1, 1, "b")]), Reset),
        (ao(&[(2, 1, "b")]), Reset),
        (ao(&[(1, 2, "b")]), Reset),
        (None, Reset),
    ] {
        assert_eq!(TcpAo::change(one.as_ref(), new.as_ref()), change, "{new:?}");
        assert_eq!(TcpAo::change(new.as_ref(), one.as_ref()), change, "{new:?}");
    }
    let two = ao(&[(1, 1, "a"), (2, 2, "b")]);
    // The connection goes on with the one that stays, while the other is changed.
    let other = ao(&[(1, 1, "a"), (2, 2, "c")]);
    assert_eq!(TcpAo::change(two.as_ref(), other.as_ref()), Live);
    assert_eq!(TcpAo::change(None, None), Nothing);
}
