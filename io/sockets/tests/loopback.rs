//! Connections over the loopback.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sockets::{ConnId, Dial, Event, MAX_PER_PEER, SEND_BUFFER, Sockets, frames};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn keepalive() -> Vec<u8> {
    message(4, 0)
}

/// A message of a type with a body of zeros.
fn message(kind: u8, body: usize) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend(u16::try_from(19 + body).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.resize(19 + body, 0);
    bytes
}

/// Sockets that listen on a free port and know the loopback.
async fn listening() -> (Sockets, Receiver<Event>, SocketAddr) {
    listen(Sockets::new()).await
}

async fn listen(made: (Sockets, Receiver<Event>)) -> (Sockets, Receiver<Event>, SocketAddr) {
    let (mut sockets, mut events) = made;
    sockets.set_known(HashSet::from([LOCALHOST]));
    sockets.listen(0);
    let port = loop {
        match events.recv().await.unwrap() {
            Event::Listening { address } if address.is_ipv4() => break address.port(),
            Event::Listening { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    (sockets, events, SocketAddr::new(LOCALHOST, port))
}

/// The next event that says neither that there is room nor that a port is heard on.
async fn next(events: &mut Receiver<Event>) -> Event {
    loop {
        match events.recv().await.unwrap() {
            Event::Room { .. } | Event::Listening { .. } => {}
            event => return event,
        }
    }
}

async fn accepted(sockets: &Sockets, events: &mut Receiver<Event>) -> ConnId {
    match next(events).await {
        Event::Accepted { conn, remote, .. } if remote.ip() == LOCALHOST => {
            sockets.adopt(conn, 1);
            conn
        }
        other => panic!("{other:?}"),
    }
}

fn dial(remote: SocketAddr) -> Dial {
    Dial { remote, local: Some(LOCALHOST), ttl: 1, timeout: Duration::from_secs(5) }
}

#[tokio::test]
async fn two_ends_exchange_whole_frames() {
    let (server, mut server_events, address) = listening().await;
    let (client, mut client_events) = Sockets::new();
    let out = client.connect(dial(address));
    let connected = next(&mut client_events).await;
    assert!(
        matches!(connected, Event::Connected { conn, remote, .. } if conn == out && remote == address)
    );
    let into = accepted(&server, &mut server_events).await;

    client.send(out, keepalive());
    client.send(out, message(2, 4000));
    let first = next(&mut server_events).await;
    assert!(
        matches!(&first, Event::Frame { conn, bytes } if *conn == into && *bytes == keepalive())
    );
    let second = next(&mut server_events).await;
    assert!(matches!(&second, Event::Frame { bytes, .. } if *bytes == message(2, 4000)));

    // What was given before the close still arrives.
    server.send(into, message(3, 2));
    server.close(into);
    let last = next(&mut client_events).await;
    assert!(matches!(&last, Event::Frame { bytes, .. } if *bytes == message(3, 2)), "{last:?}");
    let closed = next(&mut client_events).await;
    assert!(matches!(&closed, Event::Closed { conn, reason } if *conn == out && reason.is_empty()));
}

#[tokio::test]
async fn frames_are_cut_wherever_the_stream_is_torn() {
    let (server, mut events, address) = listening().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    accepted(&server, &mut events).await;
    let bytes = [keepalive(), message(2, 100), keepalive()].concat();
    for byte in &bytes {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    for expect in [keepalive(), message(2, 100), keepalive()] {
        let frame = next(&mut events).await;
        assert!(matches!(&frame, Event::Frame { bytes, .. } if *bytes == expect), "{frame:?}");
    }
}

#[tokio::test]
async fn in_batches_no_frame_is_lost_and_few_events_come() {
    let (server, mut events, address) = listen(Sockets::batched()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    accepted(&server, &mut events).await;
    let sent: Vec<Vec<u8>> = (0..5000).map(|n| message(2, 4 + n % 300)).collect();
    let bytes = [sent.concat(), b"no header at all, and more of it".to_vec()].concat();
    let writing = tokio::spawn(async move {
        // Torn where it falls.
        for part in bytes.chunks(9973) {
            stream.write_all(part).await.unwrap();
        }
        stream
    });
    let (mut got, mut batches) = (Vec::new(), 0);
    while got.len() < sent.len() + 1 {
        let Event::Frame { bytes, .. } = next(&mut events).await else { panic!("no frame") };
        assert!(bytes.len() <= 128 << 10);
        got.extend(frames(&bytes).map(<[u8]>::to_vec));
        batches += 1;
    }
    assert_eq!(got.pop().map(|wrong| wrong.len()), Some(19));
    assert_eq!(got, sent);
    assert!(batches < sent.len() / 10, "{batches} events");
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn many_small_messages_go_out_in_order() {
    let (server, mut events, address) = listening().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let conn = accepted(&server, &mut events).await;
    let sent: Vec<Vec<u8>> = (0..1000).map(|n| message(2, n % 200)).collect();
    for message in &sent {
        server.send(conn, message.clone());
        server.send(conn, Vec::new());
    }
    let mut got = vec![0; sent.concat().len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, sent.concat());
    while server.room(conn) != SEND_BUFFER {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wrong_header_is_the_last_frame() {
    let (server, mut events, address) = listening().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let conn = accepted(&server, &mut events).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: router\r\n\r\n").await.unwrap();
    let frame = next(&mut events).await;
    assert!(matches!(&frame, Event::Frame { bytes, .. } if bytes.len() == 19), "{frame:?}");
    server.send(conn, message(3, 2));
    server.close(conn);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, message(3, 2));
}

/// Whether the other end closes the connection without a word, soon.
async fn is_dropped(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte)).await;
    read.is_ok_and(|read| read.unwrap_or(0) == 0)
}

#[tokio::test]
async fn strangers_and_crowds_are_dropped() {
    let (server, mut events, address) = listening().await;
    let mut open = Vec::new();
    for _ in 0..MAX_PER_PEER {
        open.push(TcpStream::connect(address).await.unwrap());
        accepted(&server, &mut events).await;
    }
    let mut too_many = TcpStream::connect(address).await.unwrap();
    assert!(is_dropped(&mut too_many).await);

    server.set_known(HashSet::new());
    let mut stranger = TcpStream::connect(address).await.unwrap();
    assert!(is_dropped(&mut stranger).await);
    // Those that were there before stay.
    open[0].write_all(&keepalive()).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Frame { .. }));
}

#[tokio::test]
async fn a_slow_reader_is_told_of_and_then_closed() {
    let (server, mut events, address) = listening().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let conn = accepted(&server, &mut events).await;
    let room = events.recv().await.unwrap();
    assert!(matches!(room, Event::Room { .. }), "{room:?}");
    assert_eq!(server.room(conn), SEND_BUFFER);
    // The kernel takes some megabytes, then nothing moves any more.
    let mut closed = None;
    for _ in 0..50_000 {
        server.send(conn, message(2, 4000));
        tokio::task::yield_now().await;
        if let Ok(Event::Closed { reason, .. }) = events.try_recv() {
            closed = Some(reason);
            break;
        }
    }
    assert_eq!(closed.as_deref(), Some("it does not read what it is sent"));
    drop(stream);
}

#[tokio::test]
async fn a_chunk_larger_than_the_room_is_sent() {
    let (server, mut events, address) = listening().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let conn = accepted(&server, &mut events).await;
    // Nothing is sent in between: the task has had no turn.
    let chunk = message(2, 4000).repeat(62);
    assert!(chunk.len() < SEND_BUFFER);
    let given = [chunk, message(2, 4000).repeat(40), keepalive()];
    for bytes in &given {
        server.send(conn, bytes.clone());
    }
    let mut got = vec![0; given.concat().len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, given.concat());
}

#[tokio::test]
async fn who_does_not_close_is_let_in_no_more() {
    let (server, mut events, address) = listening().await;
    let mut open = Vec::new();
    // Those that are closed wait for the other end for two seconds.
    let refused = loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::select! {
            conn = accepted(&server, &mut events) => server.close(conn),
            dropped = is_dropped(&mut stream) => break dropped,
        }
        open.push(stream);
        assert!(open.len() < 100, "all were let in");
    };
    assert!(refused);
    drop(open);
    // It is let in again when they have ended.
    loop {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::select! {
            _ = accepted(&server, &mut events) => break,
            _ = is_dropped(&mut stream) => {}
        }
    }
}

#[tokio::test]
async fn nobody_there_is_a_reason() {
    let unused = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let (client, mut events) = Sockets::new();
    let conn = client.connect(dial(address));
    match next(&mut events).await {
        Event::ConnectFailed { conn: failed, reason } => {
            assert_eq!(failed, conn);
            assert!(reason.contains("refused"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_reported() {
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (mut sockets, mut events) = Sockets::new();
    sockets.listen(taken.local_addr().unwrap().port());
    loop {
        match events.recv().await.unwrap() {
            Event::ListenFailed { address, reason } if address.is_ipv4() => {
                assert!(reason.contains("in use"), "{reason}");
                break;
            }
            Event::Listening { .. } | Event::ListenFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn shutting_down_sends_what_waits() {
    let (server, mut events, address) = listening().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let conn = accepted(&server, &mut events).await;
    server.send(conn, message(3, 2));
    server.close(conn);
    let reading = tokio::spawn(async move {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    server.shut_down(Duration::from_secs(5)).await;
    // Nothing is left to tasks that nobody waits for: the process ends now.
    assert!(reading.is_finished());
    assert_eq!(reading.await.unwrap(), message(3, 2));
}
