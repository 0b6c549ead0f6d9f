//! Paths of the tables.

use bgp_policy::{CommunityKind, StandardPattern};
use node_api::v1;

use super::number;
use crate::output::{Table, table};

/// A column: its name, and what stands in it.
type Column = (&'static str, fn(&v1::Route) -> String);

const BEST: Column = ("BEST", |r| match (r.best, r.multipath) {
    (true, _) => "best".to_owned(),
    (false, true) => "multipath".to_owned(),
    (false, false) => String::new(),
});
const FROM: Column = ("FROM", |r| match (r.neighbor.as_str(), r.source.as_str()) {
    ("", "aggregate") => "aggregate".to_owned(),
    ("", _) => "here".to_owned(),
    (neighbor, _) => neighbor.to_owned(),
});
const PATH_ID: Column =
    ("ID", |r| if r.path_id == 0 { String::new() } else { r.path_id.to_string() });
const ATTRIBUTES: [Column; 5] = [
    ("AS PATH", |r| r.as_path.clone()),
    ("ORIGIN", |r| r.origin.clone()),
    ("PREF", |r| number(r.local_pref)),
    ("MED", |r| number(r.med)),
    ("COMMUNITIES", |r| {
        let named = r.communities.iter().map(|text| well_known(text));
        named.chain(r.large_communities.iter().cloned()).collect::<Vec<_>>().join(" ")
    }),
];
const WEIGHT: Column = ("WEIGHT", |r| r.weight.to_string());
const WIDE: [Column; 5] = [
    ("EXTENDED", |r| match r.extended_communities_text.as_slice() {
        // A router of before has no words for them.
        [] => r.extended_communities.join(" "),
        words => words.join(" "),
    }),
    ("ORIGINATOR", |r| r.originator.clone()),
    ("CLUSTERS", |r| r.cluster_list.join(" ")),
    ("OTC", |r| number(r.only_to_customer)),
    ("AGGREGATOR", |r| r.aggregator.clone()),
];
const REASON: Column = ("REASON", |r| r.reason.clone());
const STALE: Column = ("STALE", |r| super::yes(r.stale).to_owned());

/// What is known of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// They come from somewhere, and were compared.
    Compared,
    /// As they are sent to a neighbor.
    Sent,
}

/// A line for each path; `wide`: with more columns.
pub(crate) fn routes(routes: &[v1::Route], whose: Whose, wide: bool) -> String {
    let columns = columns(whose, has_ids(routes), wide);
    table(names(&columns), rows(routes, &columns))
}

/// A part of a long table.
pub(crate) fn part_of_routes(routes: &[v1::Route], whose: Whose, wide: bool) -> Table {
    // Always with ids: each part has the same columns.
    let columns = columns(whose, true, wide);
    Table::new(names(&columns), rows(routes, &columns))
}

/// The same with numbers before them, which other tables name.
pub(super) fn numbered(routes: &[v1::Route], wide: bool) -> String {
    let columns = columns(Whose::Compared, has_ids(routes), wide);
    let rows = (1..).zip(rows(routes, &columns)).map(|(number, row): (u32, _)| {
        [format!("#{number}")].into_iter().chain(row).collect::<Vec<_>>()
    });
    table(["PATH"].into_iter().chain(names(&columns)), rows)
}

fn has_ids(routes: &[v1::Route]) -> bool {
    routes.iter().any(|route| route.path_id != 0)
}

fn columns(whose: Whose, ids: bool, wide: bool) -> Vec<Column> {
    let compared = whose == Whose::Compared;
    let mut columns: Vec<Column> = Vec::new();
    columns.extend(compared.then_some(BEST));
    columns.push(("PREFIX", |r| r.prefix.clone()));
    columns.extend(ids.then_some(PATH_ID));
    columns.push(("NEXT HOP", |r| match r.discard {
        true => format!("{} (discard)", r.next_hop),
        false => r.next_hop.clone(),
    }));
    columns.extend(compared.then_some(FROM));
    columns.extend(ATTRIBUTES);
    if wide {
        // A weight is never sent.
        columns.extend(compared.then_some(WEIGHT));
        columns.extend(WIDE);
    }
    columns.extend(compared.then_some(REASON));
    columns.extend((compared && wide).then_some(STALE));
    columns
}

fn names(columns: &[Column]) -> impl Iterator<Item = &'static str> {
    columns.iter().map(|(name, _)| *name)
}

fn rows(routes: &[v1::Route], columns: &[Column]) -> impl Iterator<Item = Vec<String>> {
    routes.iter().map(|route| columns.iter().map(|(_, value)| value(route)).collect())
}

/// A community by the name that policies know it by, where it has one.
fn well_known(text: &str) -> String {
    let halves = text
        .split_once(':')
        .and_then(|(high, low)| Some((high.parse::<u16>().ok()?, low.parse::<u16>().ok()?)));
    match halves {
        Some((high, low)) => StandardPattern::write(&(u32::from(high) << 16 | u32::from(low))),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use node_api::v1;

    use super::{Whose, routes};

    #[test]
    fn a_path_says_where_it_is_from() {
        let check = |neighbor: &str, source: &str, expect: &str| {
            let (neighbor, source) = (neighbor.to_owned(), source.to_owned());
            let aggregator = "65000 1.1.1.1".to_owned();
            let all = [v1::Route { neighbor, source, aggregator, ..Default::default() }];
            let words = |wide| -> Vec<String> {
                let text = routes(&all, Whose::Compared, wide);
                text.split_whitespace().map(str::to_owned).collect()
            };
            assert!(words(false).iter().any(|word| word == expect), "{:?}", words(false));
            assert!(words(true).join(" ").contains(" 65000 1.1.1.1"), "{:?}", words(true));
        };
        check("10.0.0.1", "ebgp", "10.0.0.1");
        check("", "aggregate", "aggregate");
        check("", "local", "here");
        // Of an older router.
        check("", "", "here");
    }

    #[test]
    fn weights_stand_in_wide_tables_and_dropped_paths_say_so() {
        let (next_hop, weight) = ("10.0.0.1".to_owned(), 70_007);
        let path = v1::Route { next_hop, weight, discard: true, ..Default::default() };
        let plain = v1::Route { discard: false, ..path.clone() };
        let text = |path: &v1::Route, whose, wide| routes(std::slice::from_ref(path), whose, wide);
        let all = text(&path, Whose::Compared, true);
        assert!(all.contains("WEIGHT") && all.contains(" 70007"), "{all}");
        assert!(!text(&path, Whose::Compared, false).contains("70007"));
        assert!(!text(&path, Whose::Sent, true).contains("WEIGHT"));
        assert!(all.contains("10.0.0.1 (discard)"), "{all}");
        assert!(!text(&plain, Whose::Compared, true).contains("discard"));
    }

    #[test]
    fn communities_have_the_names_that_policies_write() {
        let check = |text: &str, expect: &str| assert_eq!(super::well_known(text), expect);
        check("65535:65281", "no-export");
        check("65535:666", "blackhole");
        check("65000:100", "65000:100");
        check("no such", "no such");
    }
}
