use super::*;

fn key(send_id: u8, receive_id: u8, algorithm: AoAlgorithm) -> AoKey {
    let secret = Secret::new("key").unwrap();
    AoKey { send_id, receive_id, algorithm, include_options: true, secret }
}

#[test]
fn structs_are_laid_out_as_the_kernel_has_them() {
    let place = ("2001:db8::1".parse().unwrap(), 128);
    let key = key(5, 6, AoAlgorithm::AesCmac);
    let add = add_value(place, &key, SET_CURRENT | SET_RNEXT);
    assert_eq!(add.len(), ADD_LEN);
    assert_eq!(&add[8..12], &[0x20, 0x01, 0x0d, 0xb8]);
    assert_eq!(&add[128..141], b"cmac(aes128)\0");
    assert_eq!(&add[196..200], &(SET_CURRENT | SET_RNEXT).to_ne_bytes());
    assert_eq!(&add[202..212], &[128, 5, 6, 12, 0, 3, b'k', b'e', b'y', 0]);
    let bare = AoKey { include_options: false, algorithm: AoAlgorithm::HmacSha256, ..key.clone() };
    assert_eq!(&add_value(place, &bare, 0)[202..208], &[128, 5, 6, 16, 2, 3]);
    let gone = del_value(place, &key, Removal::For(&bare));
    assert_eq!((gone.len(), &gone[138..144]), (DEL_LEN, &[128, 5, 6, 5, 6, 0][..]));
    assert_eq!(&gone[132..136], &(SET_CURRENT | SET_RNEXT).to_ne_bytes());
    assert_eq!(&del_value(place, &key, Removal::Listener)[132..136], &DEL_ASYNC.to_ne_bytes());
    let info = info_value(&key);
    assert_eq!((info.len(), &info[4..8]), (INFO_LEN, &[0, 0, 0, 6][..]));
    if cfg!(target_endian = "little") {
        assert_eq!((SET_CURRENT, SET_RNEXT, DEL_ASYNC), (1, 2, 4));
    }
}

#[test]
fn a_kernel_without_it_says_so_and_one_with_it_takes_it() {
    let peer = "192.0.2.1".parse().unwrap();
    let keys = [key(1, 1, AoAlgorithm::HmacSha1), key(2, 2, AoAlgorithm::AesCmac)];
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let refused = Probe::default().refusal(true, &keys);
    let dialled = dial(&socket, peer, &keys).err().map(|error| error.to_string());
    assert_eq!(dialled, refused);
    let Some(refusal) = refused else {
        // RFC 5925 §3.1.
        let again = add(&socket, whole(peer), &keys[0], 0).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(!is_signed(&Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).unwrap());
        return;
    };
    assert_eq!(refusal, "this kernel has no TCP-AO (Linux 6.7 with CONFIG_TCP_AO)");
    // Nor does it know whether a connection has it, so none is taken.
    accepted(&socket, peer, &keys, &[]).unwrap_err();
}
