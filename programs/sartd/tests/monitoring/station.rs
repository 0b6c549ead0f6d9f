//! A BMP station that reads with another program's parser.

use std::time::Duration;

use bgpkit_parser::models::{BgpMessage, BgpUpdateMessage};
use bgpkit_parser::parser::bmp::messages::{BmpMessageBody, BmpPeerType, StatsData};
use bgpkit_parser::parser::bmp::parse_bmp_msg;
use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How long a test waits for a message that must come.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the router connects to.
pub(super) struct Listener(TcpListener);

/// A connection of the router.
pub(super) struct Station {
    stream: TcpStream,
    waiting: Vec<Told>,
    heard: Vec<Told>,
}

/// What a station is told, as far as tests look at it. Views are `pre`, `post` and `own`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Initiation,
    Termination,
    /// The connection is closed.
    Closed,
    Up {
        peer: String,
        asn: u32,
        /// AS number and BGP Identifier of ours and theirs.
        opens: Vec<String>,
    },
    Down {
        peer: String,
        reason: u8,
    },
    Route {
        view: &'static str,
        prefix: String,
        path: String,
        communities: Vec<String>,
    },
    Gone {
        view: &'static str,
        prefix: String,
    },
    End {
        view: &'static str,
    },
    Statistics {
        peer: String,
        routes_in: u64,
    },
}

impl Told {
    /// Whether it is a route of a view, or the loss of one.
    pub(super) fn is_of(&self, of: &str) -> bool {
        match self {
            Told::Route { view, .. } | Told::Gone { view, .. } | Told::End { view } => *view == of,
            Told::Initiation
            | Told::Termination
            | Told::Closed
            | Told::Up { .. }
            | Told::Down { .. }
            | Told::Statistics { .. } => false,
        }
    }
}

impl Listener {
    /// Takes little that is not read.
    pub(super) fn new(address: &str) -> Listener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        Listener(socket.listen(4).unwrap())
    }

    pub(super) async fn accept(&self) -> Station {
        let accepted = tokio::time::timeout(LIMIT, self.0.accept()).await;
        let (stream, _) = accepted.expect("the router connects").unwrap();
        Station { stream, waiting: Vec::new(), heard: Vec::new() }
    }
}

impl Station {
    /// What was heard since the last [`Station::forget`].
    pub(super) fn heard(&self) -> &[Told] {
        &self.heard
    }

    pub(super) fn forget(&mut self) {
        self.heard.clear();
    }

    /// Reads until all of these were told, in whatever order; whether it was so before the end of
    /// the connection.
    pub(super) async fn reaches(&mut self, wanted: &[Told]) -> bool {
        while !wanted.iter().all(|one| self.heard.contains(one)) {
            if self.next().await == Told::Closed {
                return false;
            }
        }
        true
    }

    /// Reads until all of these were told, in whatever order.
    pub(super) async fn until(&mut self, wanted: &[Told]) {
        let end = tokio::time::Instant::now() + LIMIT;
        while !wanted.iter().all(|one| self.heard.contains(one)) {
            let missing = || wanted.iter().filter(|one| !self.heard.contains(one));
            let missing = format!("{:?} of {:?}", missing().collect::<Vec<_>>(), self.heard);
            let next = tokio::time::timeout_at(end, self.next()).await;
            assert_ne!(next.ok(), None, "not told: {missing}");
            assert_ne!(self.heard.last(), Some(&Told::Closed), "not told: {missing}");
        }
    }

    /// The next thing that is told.
    pub(super) async fn next(&mut self) -> Told {
        while self.waiting.is_empty() {
            let read = tokio::time::timeout(LIMIT, message(&mut self.stream)).await;
            match read.expect("a message comes in time") {
                Some(message) => self.waiting = told(message),
                None => self.waiting.push(Told::Closed),
            }
        }
        let next = self.waiting.remove(0);
        self.heard.push(next.clone());
        next
    }
}

async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 6];
    stream.read_exact(&mut message).await.ok()?;
    assert_eq!(message[0], 3, "the version of BMP");
    let length = u32::from_be_bytes(message[1..5].try_into().unwrap());
    message.resize(usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut message[6..]).await.ok()?;
    Some(message)
}

fn told(message: Vec<u8>) -> Vec<Told> {
    let mut bytes = Bytes::from(message);
    let message = parse_bmp_msg(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "bytes behind a message");
    let header = message.per_peer_header;
    let own = header.is_some_and(|h| h.peer_type == BmpPeerType::LocalRib);
    let peer = match header {
        Some(_) if own => "own".to_owned(),
        Some(header) => header.peer_ip.to_string(),
        None => String::new(),
    };
    let post = header.is_some_and(|h| format!("{:?}", h.peer_flags).contains("IS_POST_POLICY"));
    let view = match (own, post) {
        (true, _) => "own",
        (false, true) => "post",
        (false, false) => "pre",
    };
    match message.message_body {
        BmpMessageBody::InitiationMessage(_) => vec![Told::Initiation],
        BmpMessageBody::TerminationMessage(_) => vec![Told::Termination],
        BmpMessageBody::PeerUpNotification(up) => {
            let open = |open: &BgpMessage| match open {
                BgpMessage::Open(open) => format!("{} {}", open.asn, open.bgp_identifier),
                other => panic!("no OPEN: {other:?}"),
            };
            let asn = header.map_or(0, |header| header.peer_asn.to_u32());
            vec![Told::Up { peer, asn, opens: vec![open(&up.sent_open), open(&up.received_open)] }]
        }
        BmpMessageBody::PeerDownNotification(down) => {
            vec![Told::Down { peer, reason: down.reason as u8 }]
        }
        BmpMessageBody::RouteMonitoring(routes) if routes.is_end_of_rib() => {
            vec![Told::End { view }]
        }
        BmpMessageBody::RouteMonitoring(routes) => match routes.bgp_message {
            BgpMessage::Update(update) => changes(view, &update),
            other => panic!("no UPDATE: {other:?}"),
        },
        BmpMessageBody::StatsReport(report) => {
            let routes_in = report.counters.iter().find_map(|counter| match counter.stat_data {
                StatsData::Gauge(count) if u16::from(counter.stat_type) == 7 => Some(count),
                _ => None,
            });
            vec![Told::Statistics { peer, routes_in: routes_in.unwrap_or_default() }]
        }
        other @ BmpMessageBody::RouteMirroring(_) => panic!("not asked for: {other:?}"),
    }
}

fn changes(view: &'static str, update: &BgpUpdateMessage) -> Vec<Told> {
    let attributes = &update.attributes;
    let path = attributes.as_path().map(ToString::to_string).unwrap_or_default();
    let communities: Vec<String> = attributes.iter_communities().map(|c| c.to_string()).collect();
    let more = attributes.get_reachable_nlri().map(|nlri| nlri.prefixes.clone());
    let announced = update.announced_prefixes.iter().cloned().chain(more.into_iter().flatten());
    let lost = attributes.get_unreachable_nlri().map(|nlri| nlri.prefixes.clone());
    let withdrawn = update.withdrawn_prefixes.iter().cloned().chain(lost.into_iter().flatten());
    let gone = withdrawn.map(|prefix| Told::Gone { view, prefix: prefix.prefix.to_string() });
    let routes = announced.map(|prefix| Told::Route {
        view,
        prefix: prefix.prefix.to_string(),
        path: path.clone(),
        communities: communities.clone(),
    });
    gone.chain(routes).collect()
}
