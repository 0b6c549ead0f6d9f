use std::fmt;

/// One number of a community in a pattern: `5`, `5-9`, or `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Any number.
    Any,
    /// The numbers from the first to the second.
    Range(u32, u32),
}

impl Part {
    /// This number alone.
    pub fn one(number: u32) -> Part {
        Part::Range(number, number)
    }

    /// Whether the pattern has the number.
    pub fn matches(self, number: u32) -> bool {
        match self {
            Part::Any => true,
            Part::Range(min, max) => (min..=max).contains(&number),
        }
    }

    /// The number, if it is one alone.
    pub fn only(self) -> Option<u32> {
        match self {
            Part::Range(min, max) if min == max => Some(min),
            Part::Range(..) | Part::Any => None,
        }
    }

    /// Reads a part whose numbers go up to `limit`.
    pub(super) fn read(text: &str, limit: u32) -> Option<Part> {
        // `parse` would take a sign too.
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = |text: &str| {
            digits(text).then(|| text.parse::<u32>().ok()).flatten().filter(|n| *n <= limit)
        };
        match text.split_once('-') {
            None if text == "*" => Some(Part::Any),
            None => number(text).map(Part::one),
            Some((min, max)) => {
                let (min, max) = (number(min)?, number(max)?);
                (min <= max).then_some(Part::Range(min, max))
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Any => f.write_str("*"),
            Part::Range(min, max) if min == max => min.fmt(f),
            Part::Range(min, max) => write!(f, "{min}-{max}"),
        }
    }
}

/// Exactly `N` parts, with `:` between them.
pub(super) fn parts<const N: usize>(text: &str, limit: u32) -> Option<[Part; N]> {
    let parts: Option<Vec<Part>> = text.split(':').map(|part| Part::read(part, limit)).collect();
    <[Part; N]>::try_from(parts?).ok()
}

pub(super) fn write(f: &mut fmt::Formatter<'_>, parts: &[Part]) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(":")?;
        }
        fmt::Display::fmt(part, f)?;
    }
    Ok(())
}
