use super::*;

#[test]
fn structs_are_laid_out_as_the_kernel_has_them() {
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    let secret = Secret::new("key").unwrap();
    let md5 = md5_value((peer, 24), None, Some(&secret));
    assert_eq!(md5.len(), MD5_LEN);
    assert_eq!(&md5[..8], &[2, 0, 0, 0, 192, 0, 2, 1]);
    assert_eq!(&md5[128..130], &[1, 24]);
    assert_eq!(&md5[130..132], &3_u16.to_ne_bytes());
    assert_eq!(&md5[136..140], b"key\0");
    let in_vrf = md5_value((peer, 24), Some(7), None);
    assert_eq!((&in_vrf[128..130], &in_vrf[132..136]), (&[3, 24][..], &7_u32.to_ne_bytes()[..]));
}

#[test]
fn silence_ends_a_connection_after_its_time() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    end_when_silent(&socket, Duration::from_secs(60)).unwrap();
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
}

#[test]
fn a_link_has_an_index_and_a_name() {
    let lo = "lo".parse().unwrap();
    assert_eq!(link_name(link_index(lo).unwrap()), Some(lo));
    assert_eq!(link_index("none-such".parse().unwrap()), None);
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", Auth::Md5(Secret::new("hush").unwrap())), "Md5(Secret(…))");
}
