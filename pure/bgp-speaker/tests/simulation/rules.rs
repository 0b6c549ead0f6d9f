//! Policies of one end of a wire, and what they mean, said a second time without them.

use std::collections::BTreeMap;

use bgp_packet::Attributes;
use bgp_policy::{
    Action, Adjust, CommunityEdit, Conditions, Definition, Definitions, Policy, Prepend, PrependAs,
    Sets, Statement, Term, Terms,
};
use inet::Prefix;

use crate::dice::Dice;
use crate::topology::own_prefixes;

/// The community that marks a route.
pub(crate) const MARK: u32 = 64999 << 16 | 77;
/// The LOCAL_PREF of what is preferred.
pub(crate) const PREFERRED: u32 = 200;

/// What one end does to what it sends and takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireRules {
    /// Not told.
    pub(crate) hide: Option<Prefix>,
    /// Told with a mark.
    pub(crate) mark: Option<Prefix>,
    /// How often the own number is put before the path once more.
    pub(crate) prepend: u8,
    /// What is marked is not taken.
    pub(crate) refuse_marked: bool,
    /// Preferred to all others.
    pub(crate) prefer: Option<Prefix>,
}

impl WireRules {
    pub(crate) fn roll(dice: &mut Dice, hosts: u64, may_prefer: bool) -> WireRules {
        let mut some = |n| {
            let (host, which) = (dice.roll(hosts) as usize, dice.roll(3) as usize);
            dice.once_in(n).then(|| own_prefixes(host)[which])
        };
        let (hide, mark, prefer) = (some(2), some(2), some(2));
        WireRules {
            hide,
            mark,
            prepend: dice.roll(3) as u8,
            refuse_marked: dice.once_in(2),
            prefer: prefer.filter(|_| may_prefer),
        }
    }

    /// For import and export; none where nothing is done.
    pub(crate) fn policies(&self) -> (Option<Policy>, Option<Policy>) {
        let of = |prefix: Prefix| Conditions {
            prefix: Some(Terms { any: vec![Term::Value(prefix.into())], ..Terms::default() }),
            ..Conditions::default()
        };
        let mut import = Vec::new();
        if self.refuse_marked {
            let marked = Term::Value("64999:77".parse().unwrap());
            let communities = Some(Terms { any: vec![marked], ..Terms::default() });
            let conditions = Conditions { communities, ..Conditions::default() };
            import.push(Statement { conditions, ..Statement::new(Action::Reject) });
        }
        if let Some(prefix) = self.prefer {
            let set = Sets { local_pref: Some(Adjust::Set(PREFERRED)), ..Sets::default() };
            import.push(Statement {
                conditions: of(prefix),
                set,
                ..Statement::new(Action::Accept)
            });
        }
        let mut export = Vec::new();
        if let Some(prefix) = self.hide {
            export.push(Statement { conditions: of(prefix), ..Statement::new(Action::Reject) });
        }
        if let Some(prefix) = self.mark {
            let set = mark();
            export.push(Statement { conditions: of(prefix), set, ..Statement::new(Action::Next) });
        }
        if self.prepend > 0 {
            let prepend = Some(Prepend { asn: PrependAs::Own, count: self.prepend });
            let set = Sets { prepend, ..Sets::default() };
            export.push(Statement { set, ..Statement::new(Action::Next) });
        }
        (policy("in", import), policy("out", export))
    }
}

/// The policy of an aggregate that is marked from the start.
pub(crate) fn marking() -> Policy {
    policy("marking", vec![Statement { set: mark(), ..Statement::new(Action::Next) }]).unwrap()
}

fn mark() -> Sets {
    let communities = Some(CommunityEdit { add: vec![MARK], ..CommunityEdit::default() });
    Sets { communities, ..Sets::default() }
}

/// Whether a route is marked.
pub(crate) fn is_marked(attributes: &Attributes) -> bool {
    attributes.communities.contains(&MARK)
}

fn policy(name: &str, mut statements: Vec<Statement>) -> Option<Policy> {
    if statements.is_empty() {
        return None;
    }
    statements.push(Statement::new(Action::Accept));
    let definition = Definition { statements, default: None };
    let definitions = Definitions {
        policies: BTreeMap::from([(name.to_owned(), definition.clone())]),
        ..Definitions::default()
    };
    Some(definition.resolve(name, &definitions).unwrap())
}
