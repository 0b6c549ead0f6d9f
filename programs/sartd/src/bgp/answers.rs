//! Answers that take longer than a turn of the router's task may: they are worked on in slices, one
//! a turn, and given up when nobody waits for them any more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bgp_speaker::{Cursor, Filter, Table, TablePage, TableRow};
use inet::{Family, Prefix, ScopedAddr};
use node_api::{Refusal, Reply, v1};

use super::calls::Page;
use super::router::Router;
use super::show;
use super::tables::Only;

/// How long one slice may take; the last step of it comes on top.
pub(super) const SLICE: Duration = Duration::from_micros(400);

/// Paths that are looked up in one step, so that a slice ends in time.
pub(super) const STEP: usize = 64;

/// How many pages may be under way, and how many explanations: readers of tables, who need no
/// rights, must not keep a person from asking why.
const MOST: usize = 8;

/// An answer under way.
pub(super) enum Answer {
    /// A page of a table in the order of prefixes, for which all of the table is looked at.
    Page(Box<Walk>),
    /// Why a prefix goes where it goes, asked of each peer.
    Explanation(Box<Explaining>),
}

/// Those under way, each in its turn.
#[derive(Default)]
pub(super) struct Answers(VecDeque<Answer>);

/// A walk over a table, and what it has found.
pub(super) struct Walk {
    pub(super) reply: Reply<v1::RoutePage>,
    pub(super) table: Table,
    pub(super) family: Family,
    pub(super) filter: Filter,
    pub(super) only: Only,
    pub(super) page: Page<TableRow>,
    pub(super) cursor: Cursor,
}

/// An explanation, and the peers that it has yet to speak of.
pub(super) struct Explaining {
    pub(super) reply: Reply<v1::Explanation>,
    pub(super) prefix: Prefix,
    pub(super) answer: v1::Explanation,
    pub(super) imports: VecDeque<ScopedAddr>,
    pub(super) peers: VecDeque<ScopedAddr>,
}

/// What became of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slice {
    /// There is more to do.
    More,
    /// That was all.
    Last,
}

impl Answer {
    fn is_abandoned(&self) -> bool {
        match self {
            Answer::Page(walk) => walk.reply.is_closed(),
            Answer::Explanation(explaining) => explaining.reply.is_closed(),
        }
    }

    fn refuse(self) {
        let busy = Refusal::Busy(format!("{MOST} such answers are under way: ask again"));
        match self {
            Answer::Page(walk) => walk.reply.send(Err(busy)),
            Answer::Explanation(explaining) => explaining.reply.send(Err(busy)),
        }
    }
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes an answer in; one too many is refused.
    pub(super) fn add(&mut self, answer: Answer) {
        // Those of callers that have gone take no place.
        self.0.retain(|answer| !answer.is_abandoned());
        let kind = std::mem::discriminant(&answer);
        let alike = self.0.iter().filter(|other| std::mem::discriminant(*other) == kind).count();
        if alike < MOST { self.0.push_back(answer) } else { answer.refuse() }
    }

    /// The one whose turn it is, and for which somebody waits.
    fn next(&mut self) -> Option<Answer> {
        std::iter::from_fn(|| self.0.pop_front()).find(|answer| !answer.is_abandoned())
    }

    fn back(&mut self, answer: Answer) {
        self.0.push_back(answer);
    }
}

impl Walk {
    /// Looks further, until the slice is over. `rows` gives rows from a cursor on.
    fn slice(&mut self, slice: Duration, mut rows: impl FnMut(Cursor) -> TablePage) -> Slice {
        let began = Instant::now();
        loop {
            let found = rows(self.cursor);
            let mut rows = found.rows.into_iter().filter(|row| self.only.has(row)).peekable();
            while let Some(first) = rows.next() {
                let prefix = first.prefix;
                let mut of_prefix = vec![first];
                while let Some(row) = rows.next_if(|row| row.prefix == prefix) {
                    of_prefix.push(row);
                }
                self.page.add(prefix, || of_prefix);
            }
            match found.next {
                Some(next) => self.cursor = next,
                None => return Slice::Last,
            }
            if began.elapsed() >= slice {
                return Slice::More;
            }
        }
    }

    fn finish(self) {
        let Walk { reply, page, .. } = self;
        let rows: Vec<TableRow> = page.items.into_values().flatten().collect();
        answer_page(reply, rows, page.more, String::new());
    }
}

/// Answers with rows. They are put into words elsewhere: that takes longer than finding them.
pub(super) fn answer_page(
    reply: Reply<v1::RoutePage>,
    rows: Vec<TableRow>,
    more: bool,
    cursor: String,
) {
    tokio::spawn(async move {
        let routes = rows.iter().map(show::row).collect();
        reply.send(Ok(v1::RoutePage { routes, more, cursor }));
    });
}

impl Router {
    /// One slice of the answer whose turn it is.
    pub(super) fn work(&mut self) {
        match self.answers.next() {
            None => {}
            Some(Answer::Page(mut walk)) => {
                let (family, table, filter) = (walk.family, walk.table, walk.filter);
                let speaker = &self.parts.speaker;
                let rows = |cursor| speaker.page(family, table, filter, cursor, STEP);
                match walk.slice(SLICE, |cursor| rows(cursor).unwrap_or_default()) {
                    Slice::More => self.answers.back(Answer::Page(walk)),
                    Slice::Last => walk.finish(),
                }
            }
            Some(Answer::Explanation(mut explaining)) => match self.explain_on(&mut explaining) {
                Slice::More => self.answers.back(Answer::Explanation(explaining)),
                Slice::Last => {
                    let Explaining { reply, answer, .. } = *explaining;
                    reply.send(Ok(answer));
                }
            },
        }
    }

    /// Speaks of further peers, until the slice is over.
    fn explain_on(&self, explaining: &mut Explaining) -> Slice {
        let began = Instant::now();
        while began.elapsed() < SLICE {
            if let Some(neighbor) = explaining.imports.pop_front() {
                let import = self.explain_import(&neighbor, &explaining.prefix);
                explaining.answer.imports.extend(import);
            } else if let Some(neighbor) = explaining.peers.pop_front() {
                let told = self.advertisement(&neighbor, &explaining.prefix);
                explaining.answer.advertisements.extend(told);
            } else {
                return Slice::Last;
            }
        }
        Slice::More
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use bgp_packet::{AsPath, Attributes, Origin, PathId};
    use bgp_speaker::{Cursor, Filter, Table, TablePage, TableRow};
    use inet::{Family, Prefix};
    use node_api::{Reply, v1};
    use tokio::sync::oneshot;

    use super::{Answer, Answers, Explaining, MOST, Slice, Walk};
    use crate::bgp::calls::Page;
    use crate::bgp::tables::Only;

    type Answered = oneshot::Receiver<Result<v1::RoutePage, node_api::Refusal>>;

    fn walk(limit: u32) -> (Box<Walk>, Answered) {
        let (reply, answered) = Reply::channel();
        let walk = Walk {
            reply,
            table: Table::Paths,
            family: Family::Ipv4,
            filter: Filter::All,
            only: Only::new(&v1::ListRoutesRequest::default()).unwrap(),
            page: Page::new("ipv4", "", "", limit).unwrap(),
            cursor: Cursor::default(),
        };
        (Box::new(walk), answered)
    }

    /// A table of 100 prefixes whose order is not that of prefixes, ten a page.
    fn rows(from: Cursor) -> TablePage {
        let next_hop = IpAddr::from([10, 0, 0, 1]).into();
        let attributes = Attributes::new(Origin::Igp, AsPath::default(), next_hop);
        let row = |n: u32| TableRow {
            prefix: Prefix::truncated([10, 0, (n * 37 % 100) as u8, 0].into(), 24).unwrap(),
            peer: None,
            source: None,
            path_id: PathId(0),
            attributes: attributes.clone(),
            weight: 0,
            discard: false,
            stale: false,
            state: None,
        };
        let end = from.0 + 10;
        let rows = (from.0..end).map(row).collect();
        TablePage { rows, next: (end < 100).then_some(Cursor(end)) }
    }

    #[tokio::test]
    async fn a_long_page_comes_in_slices_and_in_order() {
        let (mut walk, answered) = walk(3);
        let mut slices = 1;
        while walk.slice(Duration::ZERO, rows) == Slice::More {
            slices += 1;
        }
        assert_eq!(slices, 10);
        walk.finish();
        let page = answered.await.unwrap().unwrap();
        let prefixes: Vec<_> = page.routes.iter().map(|route| route.prefix.as_str()).collect();
        assert_eq!(prefixes, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]);
        assert!(page.more);
    }

    #[test]
    fn nothing_is_done_for_those_who_have_gone() {
        let mut answers = Answers::default();
        for _ in 0..MOST {
            answers.add(Answer::Page(walk(1).0));
        }
        let (stays, mut waits) = walk(1);
        answers.add(Answer::Page(stays));
        assert!(waits.try_recv().is_err(), "it is under way");
        assert!(answers.next().is_some(), "the one that is waited for");
        assert!(answers.next().is_none() && answers.is_empty());
    }

    #[test]
    fn too_many_at_once_are_refused() {
        let mut answers = Answers::default();
        let mut waiting = Vec::new();
        for _ in 0..MOST {
            let (walk, waits) = walk(1);
            answers.add(Answer::Page(walk));
            waiting.push(waits);
        }
        let (one_more, mut waits) = walk(1);
        answers.add(Answer::Page(one_more));
        let refused = waits.try_recv().unwrap().unwrap_err().to_string();
        assert_eq!(refused, "8 such answers are under way: ask again");
        assert!(waiting.iter_mut().all(|waits| waits.try_recv().is_err()), "they go on");
        let (reply, mut waits) = Reply::channel();
        let prefix = "10.0.0.0/24".parse().unwrap();
        let (answer, imports, peers) = Default::default();
        let why = Explaining { reply, prefix, answer, imports, peers };
        answers.add(Answer::Explanation(Box::new(why)));
        assert!(waits.try_recv().is_err(), "pages keep nobody from asking why");
    }
}
