//! BMP stations and MRT files, read by another program's parser.

mod station;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bgpkit_parser::models::{Bgp4MpEnum, BgpMessage, MrtMessage, MrtRecord, TableDumpV2Message};
use bgpkit_parser::parser::mrt::mrt_record::parse_mrt_record;
use node_api::v1::{self, edit_request::Edit};

use self::station::{Listener, Told};
use crate::world::{Router, World, eventually};
use crate::{LEFT, is_established};

/// The right router; `import` is what its import policy does.
fn right(import: &str, more: &str) -> String {
    format!(
        "
asn: 65002
router_id: 2.2.2.2
policies: {{in: [{import}, {{action: accept}}]}}
neighbors: [{{name: left, address: 10.0.0.1, asn: 65001, import: in}}]
paths: [{{prefixes: [10.8.0.0/24]}}]
{more}
"
    )
}

const MARK: &str = "{match: {prefix: 10.9.0.0/24}, set: {communities: [65000:7]}, action: accept}";
const REFUSE: &str = "{match: {prefix: 10.9.0.0/24}, action: reject}";
const ALL: &str = "bmp: [{address: 10.0.0.1, port: 11019, statistics_interval: 1, \
                   tables: [pre_policy, post_policy, loc_rib]}]";

async fn apply(router: &Router, generation: u64, document: &str) -> v1::ApplyReply {
    let reply = router.client().apply("agent", generation, document, false).await.unwrap();
    assert!(reply.accepted, "{reply:?}");
    reply
}

async fn stations(router: &Router) -> Vec<v1::Station> {
    router.client().global().await.map(|global| global.stations).unwrap_or_default()
}

fn route(view: &'static str, prefix: &str, path: &str, communities: &[&str]) -> Told {
    Told::Route {
        view,
        prefix: prefix.to_owned(),
        path: path.to_owned(),
        communities: communities.iter().map(ToString::to_string).collect(),
    }
}

fn gone(view: &'static str, prefix: &str) -> Told {
    Told::Gone { view, prefix: prefix.to_owned() }
}

#[test]
fn a_station_is_told_of_sessions_and_routes() {
    let Some(world) = World::enter("monitoring::a_station_is_told_of_sessions_and_routes") else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let listener = Listener::new("10.0.0.1:11019");
        let mut left = a.router("left", LEFT, &[]);
        let right_router = b.bare_router("right", &[]);
        right_router.wait_until_up().await;
        // The session and its routes are there before somebody asks for them.
        apply(&right_router, 1, &right(MARK, "")).await;
        eventually("the session is there", async || is_established(&right_router).await).await;
        eventually("the routes are there", async || {
            right_router.client().global().await.is_ok_and(|global| global.prefixes == 3)
        })
        .await;
        apply(&right_router, 2, &right(MARK, ALL)).await;

        let mut station = listener.accept().await;
        assert_eq!(station.next().await, Told::Initiation);
        let left_up = Told::Up {
            peer: "10.0.0.1".to_owned(),
            asn: 65001,
            opens: vec!["65002 2.2.2.2".to_owned(), "65001 1.1.1.1".to_owned()],
        };
        let own_up = Told::Up {
            peer: "own".to_owned(),
            asn: 65002,
            opens: vec!["65002 2.2.2.2".to_owned(); 2],
        };
        station
            .until(&[
                left_up,
                route("pre", "10.9.0.0/24", "65001", &[]),
                route("pre", "fd09::/64", "65001", &[]),
                Told::End { view: "pre" },
                route("post", "10.9.0.0/24", "65001", &["65000:7"]),
                route("post", "fd09::/64", "65001", &[]),
                Told::End { view: "post" },
                own_up,
                route("own", "10.9.0.0/24", "65001", &["65000:7"]),
                route("own", "fd09::/64", "65001", &[]),
                route("own", "10.8.0.0/24", "", &[]),
                Told::End { view: "own" },
                Told::Statistics { peer: "10.0.0.1".to_owned(), routes_in: 2 },
            ])
            .await;
        eventually("the station is shown as live", async || {
            let shown = stations(&right_router).await;
            shown.len() == 1 && shown[0].state == "Live" && shown[0].address == "10.0.0.1:11019"
        })
        .await;

        // A change of policy is seen after it only, on the same connection, and withdraws.
        station.forget();
        apply(&right_router, 3, &right(REFUSE, ALL)).await;
        station
            .until(&[
                gone("post", "10.9.0.0/24"),
                gone("own", "10.9.0.0/24"),
                route("post", "fd09::/64", "65001", &[]),
            ])
            .await;
        assert!(!station.heard().iter().any(|told| told.is_of("pre")), "{:?}", station.heard());

        // Another station does not touch this one.
        let second = Listener::new("10.0.0.1:11020");
        let both = ALL.replace("[{", "[{address: 10.0.0.1, port: 11020}, {");
        apply(&right_router, 4, &right(REFUSE, &both)).await;
        let mut other = second.accept().await;
        other.until(&[route("pre", "10.9.0.0/24", "65001", &[]), Told::End { view: "pre" }]).await;
        assert!(!other.heard().iter().any(|told| told.is_of("post") || told.is_of("own")));

        // Changes as they happen.
        let more = |what: &str| Edit::Merge(format!("paths: [{{prefixes: [{what}]}}]"));
        left.client().edit(more("10.7.0.0/24")).await.unwrap();
        station
            .until(&[
                route("pre", "10.7.0.0/24", "65001", &[]),
                route("post", "10.7.0.0/24", "65001", &[]),
                route("own", "10.7.0.0/24", "65001", &[]),
            ])
            .await;
        left.client().edit(Edit::RemovePath("10.7.0.0/24".to_owned())).await.unwrap();
        station
            .until(&[
                gone("pre", "10.7.0.0/24"),
                gone("post", "10.7.0.0/24"),
                gone("own", "10.7.0.0/24"),
            ])
            .await;

        station.forget();
        assert_eq!(left.terminate(), Some(0));
        // The peer has said why, and its routes are no longer the router's own.
        station
            .until(&[
                Told::Down { peer: "10.0.0.1".to_owned(), reason: 3 },
                gone("own", "fd09::/64"),
            ])
            .await;
        assert!(!station.heard().iter().any(|told| told.is_of("pre")), "{:?}", station.heard());

        apply(&right_router, 5, &right(MARK, "bmp: [{address: 10.0.0.1, port: 11020}]")).await;
        station.until(&[Told::Termination]).await;
        assert_eq!(station.next().await, Told::Closed);
        assert_eq!(stations(&right_router).await.len(), 1);
        // At the router's end too.
        let mut right_router = right_router;
        assert_eq!(right_router.terminate(), Some(0));
        other.until(&[Told::Termination]).await;
        assert_eq!(other.next().await, Told::Closed);
    });
}

#[test]
fn a_station_that_reads_nothing_holds_nobody_up() {
    let Some(world) = World::enter("monitoring::a_station_that_reads_nothing_holds_nobody_up")
    else {
        return;
    };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let listener = Listener::new("10.0.0.1:11019");
        let left = a.router("left", LEFT, &[]);
        let small = ALL.replace("port: 11019,", "port: 11019, buffer: 1, connect_retry_time: 1,");
        let right_router = b.router("right", &right(MARK, &small), &[]);
        let deaf = listener.accept().await;
        eventually("the session is there", async || is_established(&right_router).await).await;
        let before = right_router.memory();
        // Each with attributes of its own, so that it is a message of its own to the station.
        let paths = (0..6000_u32).map(|n| {
            let (a, b) = (n / 100, n % 100);
            format!("{{prefixes: [10.{a}.{b}.128/25], attributes: {{communities: [65000:{n}]}}}}")
        });
        let document = format!("paths: [{}]", paths.collect::<Vec<_>>().join(",\n"));
        let prefixes = async || right_router.client().global().await.unwrap().prefixes;
        for _ in 0..3 {
            let reply = left.client().apply("many", 1, &document, false).await.unwrap();
            assert!(reply.accepted, "{reply:?}");
            eventually("all prefixes have come", async || prefixes().await > 6000).await;
            left.client().forget("many").await.unwrap();
            eventually("all prefixes have gone", async || prefixes().await < 10).await;
        }
        assert!(is_established(&right_router).await);
        let station = &stations(&right_router).await[0];
        assert!(station.losses > 0, "it has read: {station:?}");
        assert!(station.last_error.starts_with("too-slow: "), "{station:?}");
        assert!(station.queued_bytes <= 1 << 20, "{station:?}");
        let grown = right_router.memory().saturating_sub(before);
        assert!(grown < 48 << 20, "{grown} bytes more");
        drop(deaf);
        // It is dialled again, and told all anew; connections that were given up may come first.
        let anew = [
            Told::Initiation,
            route("pre", "10.9.0.0/24", "65001", &[]),
            route("post", "10.9.0.0/24", "65001", &["65000:7"]),
            route("own", "10.9.0.0/24", "65001", &["65000:7"]),
            Told::End { view: "own" },
        ];
        while !listener.accept().await.reaches(&anew).await {}
    });
}

/// Nothing else happens in this router: nobody would look by chance.
#[test]
fn who_watches_hears_that_a_station_is_lost() {
    let name = "monitoring::who_watches_hears_that_a_station_is_lost";
    let Some(world) = World::enter(name) else { return };
    let (_a, b) = world.two_hosts();
    world.block_on(async {
        let listener = Listener::new("10.0.0.1:11019");
        let alone = "{asn: 65002, router_id: 2.2.2.2, \
                     bmp: [{address: 10.0.0.1, port: 11019, connect_retry_time: 600, \
                     statistics_interval: 1, tables: [loc_rib]}]}";
        let router = b.router("right", alone, &[]);
        let mut station = listener.accept().await;
        let is_live = async || stations(&router).await.iter().any(|one| one.state == "Live");
        eventually("the station is told", is_live).await;
        let mut watch = router.client().watch(v1::WatchRequest::default()).await.unwrap();
        // For a second there was nothing to be told of.
        for _ in 0..2 {
            while !matches!(station.next().await, Told::Statistics { .. }) {}
        }
        drop((station, listener));
        let lost = async {
            loop {
                let event = watch.message().await.unwrap().expect("the watch goes on");
                if let Some(v1::event::What::Condition(event)) = event.what
                    && event.condition.is_some_and(|condition| condition.name == "StationLost")
                {
                    return;
                }
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(10), lost).await;
        told.expect("it is told that the station is lost");
    });
}

/// The records of a whole file.
fn records(path: &Path) -> Vec<MrtRecord> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    while !rest.is_empty() {
        records.push(parse_mrt_record(&mut rest).unwrap());
    }
    records
}

/// The files of a kind that have their last name.
fn files(directory: &Path, kind: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(kind) && name.ends_with(".mrt")
    });
    paths.sort();
    paths
}

#[test]
fn another_program_reads_the_files() {
    let Some(world) = World::enter("monitoring::another_program_reads_the_files") else { return };
    let (a, b) = world.two_hosts();
    world.block_on(async {
        let left = a.router("left", LEFT, &[]);
        let right_router = b.bare_router("right", &[]);
        right_router.wait_until_up().await;
        apply(&right_router, 1, &right(MARK, "")).await;
        eventually("the routes are there", async || {
            right_router.client().global().await.is_ok_and(|global| global.prefixes == 3)
        })
        .await;
        let directory = world.directory().join("mrt");
        let mrt = format!(
            "mrt: {{directory: {}, table_interval: 604800, updates_interval: 604800}}",
            directory.display()
        );
        apply(&right_router, 2, &right(MARK, &mrt)).await;
        eventually("the table is there", async || files(&directory, "rib.").len() == 1).await;
        let more = Edit::Merge("paths: [{prefixes: [10.7.0.0/24]}]".to_owned());
        left.client().edit(more).await.unwrap();
        eventually("the route is there", async || {
            right_router.client().global().await.is_ok_and(|global| global.prefixes == 4)
        })
        .await;
        let shown = right_router.client().global().await.unwrap().mrt.unwrap();
        assert_eq!((shown.files, shown.lost_records), (1, 0), "{shown:?}");
        assert_eq!(files(&directory, "updates."), [] as [PathBuf; 0], "it is not whole yet");
        apply(&right_router, 3, &right(MARK, "")).await;
        eventually("the messages are there", async || files(&directory, "updates.").len() == 1)
            .await;
        // At the router's end too, although the file has little in it.
        apply(&right_router, 4, &right(MARK, &mrt)).await;
        eventually("the second table is there", async || files(&directory, "rib.").len() == 2)
            .await;
        let mut right_router = right_router;
        assert_eq!(right_router.terminate(), Some(0));
        assert_eq!(files(&directory, "updates.").len(), 2);

        let mut table = records(&files(&directory, "rib.")[0]).into_iter().map(|r| r.message);
        let Some(MrtMessage::TableDumpV2Message(TableDumpV2Message::PeerIndexTable(index))) =
            table.next()
        else {
            panic!("no peers")
        };
        assert_eq!(index.collector_bgp_id.to_string(), "2.2.2.2");
        let mut seen = Vec::new();
        for message in table {
            let MrtMessage::TableDumpV2Message(TableDumpV2Message::RibAfi(rib)) = message else {
                panic!("no routes: {message:?}")
            };
            for entry in &rib.rib_entries {
                let peer = &index.id_peer_map[&entry.peer_index];
                let path = entry.attributes.as_path().map(ToString::to_string);
                let communities: Vec<_> =
                    entry.attributes.iter_communities().map(|c| c.to_string()).collect();
                seen.push(format!(
                    "{} from {} {} {:?} {}",
                    rib.prefix,
                    peer.peer_ip,
                    peer.peer_asn,
                    path.unwrap_or_default(),
                    communities.join(" "),
                ));
            }
        }
        seen.sort();
        assert_eq!(
            seen,
            [
                "10.8.0.0/24 from 0.0.0.0 65002 \"\" ",
                "10.9.0.0/24 from 10.0.0.1 65001 \"65001\" 65000:7",
                "fd09::/64 from 10.0.0.1 65001 \"65001\" ",
            ]
        );

        let updates = records(&files(&directory, "updates.")[0]);
        let announced = updates.into_iter().find_map(|record| {
            assert!(record.common_header.microsecond_timestamp.is_some());
            let MrtMessage::Bgp4Mp(Bgp4MpEnum::Message(message)) = record.message else {
                return None;
            };
            assert_eq!(message.peer_ip, "10.0.0.1".parse::<IpAddr>().unwrap());
            assert_eq!((message.peer_asn.to_u32(), message.local_asn.to_u32()), (65001, 65002));
            let BgpMessage::Update(update) = message.bgp_message else { return None };
            let path = update.attributes.as_path().map(ToString::to_string);
            let prefix = update.announced_prefixes.first()?.prefix.to_string();
            Some((prefix, path.unwrap_or_default()))
        });
        assert_eq!(announced, Some(("10.7.0.0/24".to_owned(), "65001".to_owned())));
    });
}
