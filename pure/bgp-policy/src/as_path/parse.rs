//! The text of a pattern to its automaton.

use super::{Atom, Automaton, Bits, MAX_ATOMS};
use crate::value::NumberRange;

/// Brackets in brackets are followed this deep.
const MAX_DEPTH: usize = 32;

/// Why a text is no AS path pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {text:?} is wrong at character {at}: {problem}")]
pub struct PathPatternError {
    text: String,
    at: usize,
    problem: String,
}

/// What is known of a part of the pattern: its first and last positions, and whether it can be
/// empty.
#[derive(Clone, Copy, Default)]
struct Part {
    first: Bits,
    last: Bits,
    empty: bool,
}

struct Parser<'t> {
    text: &'t str,
    rest: std::iter::Peekable<std::str::CharIndices<'t>>,
    atoms: Vec<Atom>,
    follow: Vec<Bits>,
}

type Result<T> = std::result::Result<T, PathPatternError>;

pub(super) fn pattern(text: &str) -> Result<Automaton> {
    let rest = text.char_indices().peekable();
    let mut parser = Parser { text, rest, atoms: Vec::new(), follow: Vec::new() };
    let mut whole = Part::default();
    if text.trim().is_empty() {
        return Err(parser.error("it is empty; `.*` is any path, `^$` the empty one"));
    }
    loop {
        let part = parser.top()?;
        whole = whole.or(part);
        match parser.peek() {
            None => break,
            Some('|') => parser.skip(),
            Some(')') => return Err(parser.error("this bracket was not opened")),
            Some('$') => return Err(parser.error("`$` stands at the end, outside of brackets")),
            Some(_) => return Err(parser.error("nothing may follow `$`")),
        }
    }
    let Parser { atoms, follow, .. } = parser;
    let Part { first, last, empty } = whole;
    Ok(Automaton { text: text.to_owned(), atoms, first, follow, last, empty })
}

impl Part {
    const EMPTY: Part = Part { first: Bits([0; 4]), last: Bits([0; 4]), empty: true };

    fn or(mut self, other: Part) -> Part {
        self.first.add_all(&other.first);
        self.last.add_all(&other.last);
        self.empty |= other.empty;
        self
    }
}

impl Parser<'_> {
    /// An alternative that is not in brackets, with its anchors.
    fn top(&mut self) -> Result<Part> {
        let mut part = Part::EMPTY;
        if self.peek() == Some('^') {
            self.skip();
        } else {
            let before = self.anything()?;
            part = self.then(part, before);
        }
        let inner = self.sequence(0)?;
        part = self.then(part, inner);
        if self.peek() == Some('$') {
            self.skip();
        } else {
            let after = self.anything()?;
            part = self.then(part, after);
        }
        Ok(part)
    }

    /// `.*`
    fn anything(&mut self) -> Result<Part> {
        let any = self.atom(Atom::Any)?;
        Ok(self.repeated(any, true))
    }

    fn sequence(&mut self, depth: usize) -> Result<Part> {
        let mut part = Part::EMPTY;
        while let Some(next) = self.peek() {
            let item = match next {
                ')' | '|' | '$' => break,
                '(' => {
                    self.skip();
                    let inner = self.alternatives(depth + 1)?;
                    if self.peek() != Some(')') {
                        return Err(self.error("a bracket is not closed"));
                    }
                    self.skip();
                    inner
                }
                '[' => {
                    self.skip();
                    let ranges = self.ranges()?;
                    self.atom(Atom::OneOf(ranges))?
                }
                '.' => {
                    self.skip();
                    self.atom(Atom::Any)?
                }
                '0'..='9' => {
                    let number = self.number()?;
                    self.atom(Atom::OneOf(vec![number.into()]))?
                }
                '*' | '+' | '?' => return Err(self.error("there is nothing to repeat")),
                '^' => return Err(self.error("`^` stands at the beginning, outside of brackets")),
                other => {
                    let problem = format!("{other:?} has no meaning here");
                    return Err(self.error(&problem));
                }
            };
            let item = self.repetition(item);
            part = self.then(part, item);
        }
        Ok(part)
    }

    fn alternatives(&mut self, depth: usize) -> Result<Part> {
        if depth > MAX_DEPTH {
            return Err(self.error("too many brackets in brackets"));
        }
        let mut part = self.sequence(depth)?;
        while self.peek() == Some('|') {
            self.skip();
            let other = self.sequence(depth)?;
            part = part.or(other);
        }
        Ok(part)
    }

    fn repetition(&mut self, mut item: Part) -> Part {
        // Only directly behind the item: `1 *` is refused as repeating nothing.
        while let Some((_, sign)) = self.rest.peek().copied() {
            item = match sign {
                '*' => self.repeated(item, true),
                '+' => {
                    let empty = item.empty;
                    self.repeated(item, empty)
                }
                '?' => Part { empty: true, ..item },
                _ => break,
            };
            self.rest.next();
        }
        item
    }

    /// `item` once or more often; or not at all, when that is allowed.
    fn repeated(&mut self, item: Part, empty: bool) -> Part {
        self.link(&item.last, &item.first);
        Part { empty, ..item }
    }

    /// One part after the other.
    fn then(&mut self, a: Part, b: Part) -> Part {
        self.link(&a.last, &b.first);
        let mut part = Part { first: a.first, last: b.last, empty: a.empty && b.empty };
        if a.empty {
            part.first.add_all(&b.first);
        }
        if b.empty {
            part.last.add_all(&a.last);
        }
        part
    }

    fn link(&mut self, from: &Bits, to: &Bits) {
        for position in from.iter() {
            if let Some(follow) = self.follow.get_mut(position) {
                follow.add_all(to);
            }
        }
    }

    fn atom(&mut self, atom: Atom) -> Result<Part> {
        let position = self.atoms.len();
        if position >= MAX_ATOMS {
            return Err(self.error(&format!("it has more than {MAX_ATOMS} numbers and dots")));
        }
        self.atoms.push(atom);
        self.follow.push(Bits::default());
        let mut only = Bits::default();
        only.add(position);
        Ok(Part { first: only, last: only, empty: false })
    }

    /// The numbers and ranges up to the closing bracket.
    fn ranges(&mut self) -> Result<Vec<NumberRange>> {
        let mut ranges = Vec::new();
        loop {
            match self.peek() {
                Some(']') if !ranges.is_empty() => break,
                Some('0'..='9') => {}
                Some(_) => return Err(self.error("a number or a range (64512-65534) is expected")),
                None => return Err(self.error("`[` is not closed")),
            }
            let min = self.number()?;
            let mut max = min;
            if self.peek() == Some('-') {
                self.skip();
                max = self.number()?;
            }
            if (min, max) == (0, 9) {
                return Err(self.error("ranges are of AS numbers, not digits; any number is `.`"));
            }
            match NumberRange::new(min, max) {
                Some(range) => ranges.push(range),
                None => return Err(self.error("the range ends before it begins")),
            }
        }
        self.skip();
        Ok(ranges)
    }

    fn number(&mut self) -> Result<u32> {
        let mut number: Option<u32> = None;
        self.peek();
        while let Some((_, sign)) = self.rest.peek().copied() {
            let Some(digit) = sign.to_digit(10) else {
                break;
            };
            let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(digit));
            match next {
                Some(next) => number = Some(next),
                None => return Err(self.error("the number is over 4294967295")),
            }
            self.rest.next();
        }
        if self.rest.peek().is_some_and(|(_, sign)| *sign == '.') {
            let mut ahead = self.rest.clone();
            ahead.next();
            if ahead.peek().is_some_and(|(_, sign)| sign.is_ascii_digit()) {
                return Err(self.error("write AS numbers without a dot, and put spaces around `.`"));
            }
        }
        number.ok_or_else(|| self.error("a number is expected"))
    }

    /// The next sign that is no space.
    fn peek(&mut self) -> Option<char> {
        while let Some((_, sign)) = self.rest.peek().copied() {
            if sign != '_' && !sign.is_whitespace() {
                return Some(sign);
            }
            self.rest.next();
        }
        None
    }

    fn skip(&mut self) {
        self.rest.next();
    }

    fn error(&mut self, problem: &str) -> PathPatternError {
        let byte = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        let before = self.text.get(..byte).unwrap_or_default();
        PathPatternError {
            text: self.text.to_owned(),
            at: before.chars().count() + 1,
            problem: problem.to_owned(),
        }
    }
}
