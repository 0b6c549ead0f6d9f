#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use inet::Secret;

use crate::{Auth, Event, Listen, Peer, Sockets, options};

/// A connection that the kernel took before the listener had the key has it all the same.
#[tokio::test]
async fn a_connection_before_its_key_has_it_too() {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut sockets, mut events) = Sockets::new();
    sockets.listen_on(&[Listen::on((localhost, 0).into())]);
    let Some(Event::Listening { address }) = events.recv().await else { panic!() };
    // Nothing is awaited: the listener's task sees it when the key is wanted already.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let auth = Auth::Md5(Secret::new("key").unwrap());
    sockets.set_peers(vec![Peer { auth: auth.clone(), ..Peer::plain(localhost) }]);
    let Some(Event::Accepted { conn, .. }) = events.recv().await else { panic!() };
    sockets.adopt(conn, 1);

    // Signed segments are taken by a socket with the key alone.
    options::dial_with(&stream, localhost, &auth).unwrap();
    let keepalive = [&[0xFF; 16][..], &[0, 19, 4]].concat();
    stream.write_all(&keepalive).unwrap();
    loop {
        // A socket without the key would drop it for ever.
        let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
        match event.unwrap() {
            Some(Event::Frame { bytes, .. }) => break assert_eq!(bytes, keepalive),
            Some(Event::Room { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    sockets.send(conn, keepalive.clone());
    let mut answer = vec![0; keepalive.len()];
    let read = tokio::task::spawn_blocking(move || stream.read_exact(&mut answer).map(|()| answer));
    assert_eq!(read.await.unwrap().unwrap(), keepalive);
}
