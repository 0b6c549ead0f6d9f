use inet::AoAlgorithm;

use super::*;

fn key(id: u8, secret: &str) -> AoKey {
    let secret = Secret::new(secret).unwrap();
    let algorithm = AoAlgorithm::HmacSha1;
    AoKey { send_id: id, receive_id: id, algorithm, include_options: true, secret }
}

fn within(prefix: &str, keys: &[AoKey]) -> Peer {
    let prefix: Prefix = prefix.parse().unwrap();
    let who = Who::Within(prefix);
    Peer { who, auth: Auth::Ao(keys.to_vec()), ..Peer::plain(prefix.address()) }
}

fn only(address: &str, keys: &[AoKey]) -> Peer {
    Peer { auth: Auth::Ao(keys.to_vec()), ..Peer::plain(address.parse().unwrap()) }
}

fn place(prefix: &str) -> Place {
    let prefix: Prefix = prefix.parse().unwrap();
    (prefix.address(), prefix.len())
}

/// RFC 5925 §3.1.
#[test]
fn a_key_that_a_wider_place_has_is_there_once_and_another_of_its_id_is_refused() {
    let (one, two) = (key(1, "one"), key(2, "two"));
    let all = vec![
        within("10.0.0.0/8", &[one.clone(), two.clone()]),
        within("10.1.0.0/16", std::slice::from_ref(&one)),
        only("10.1.0.1", &[one.clone(), key(3, "three")]),
        only("10.1.0.2", &[key(2, "another")]),
        only("11.0.0.1", &[key(1, "elsewhere")]),
        Peer { auth: Auth::Md5(Secret::new("md5").unwrap()), ..only("10.1.0.3", &[]) },
    ];
    let (keys, wrong) = Peers::new(all).keys();
    let of = |prefix: &str| match keys.get(&place(prefix)) {
        Some(Auth::Ao(keys)) => Some(keys.clone()),
        Some(Auth::None | Auth::Md5(_)) | None => None,
    };
    assert_eq!(of("10.0.0.0/8"), Some(vec![one, two]));
    assert_eq!(of("10.1.0.0/16"), Some(vec![]));
    assert_eq!(of("10.1.0.1/32"), Some(vec![key(3, "three")]));
    assert_eq!(of("10.1.0.2/32"), None);
    assert_eq!(of("11.0.0.1/32"), Some(vec![key(1, "elsewhere")]));
    let reason = "10.0.0.0/8 has another TCP-AO key with the id 2 or 2".to_owned();
    assert_eq!(wrong, [PeerError { who: Who::Address("10.1.0.2".parse().unwrap()), reason }]);
}
