//! One field of a cron expression: which values fit, and how the field is written.

use super::InvalidSchedule;

/// What a field is for, and what it may hold.
pub(super) struct Kind {
    name: &'static str,
    least: u8,
    most: u8,
    /// Names of values, the first of them for `least`.
    names: &'static [&'static str],
}

pub(super) const MINUTE: Kind = Kind { name: "minute", least: 0, most: 59, names: &[] };
pub(super) const HOUR: Kind = Kind { name: "hour", least: 0, most: 23, names: &[] };
pub(super) const DAY: Kind = Kind { name: "day of the month", least: 1, most: 31, names: &[] };
pub(super) const MONTH: Kind = Kind {
    name: "month",
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Sunday is 0 and 7.
pub(super) const WEEKDAY: Kind = Kind {
    name: "day of the week",
    least: 0,
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// A field that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The values that fit. Sunday is 0 only.
    pub(super) values: Bits,
    /// Whether it begins with a star, and so does not narrow days down by itself.
    pub(super) star: bool,
    /// How it is written: numbers instead of names, nothing that could be left out.
    pub(super) text: String,
}

/// A set of numbers below 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits(pub(super) u64);

impl Bits {
    pub(super) fn of(values: impl IntoIterator<Item = u8>) -> Self {
        values.into_iter().fold(Self::default(), Self::with)
    }

    pub(super) fn with(self, value: u8) -> Self {
        Self(self.0 | 1 << value)
    }

    pub(super) fn has(self, value: u8) -> bool {
        self.0 >> value & 1 == 1
    }

    /// The least value that is not below `from`.
    pub(super) fn first_from(self, from: u8) -> Option<u8> {
        let rest = self.0.checked_shr(from.into()).unwrap_or(0);
        // What is left of 64 bits has its lowest one below 64.
        (rest != 0).then(|| from + rest.trailing_zeros() as u8)
    }

    /// The values in ascending order.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |value| self.has(*value))
    }
}

impl Field {
    /// Reads a field.
    pub(super) fn read(text: &str, kind: &Kind) -> Result<Self, InvalidSchedule> {
        let mut field = Self { values: Bits::default(), star: false, text: String::new() };
        for part in text.split(',') {
            let (first, last, step, star) = kind.part(part).map_err(|rule| kind.refuse(text, &rule))?;
            for value in (first..=last).step_by(step.into()) {
                field.values = field.values.with(kind.folded(value));
            }
            field.star |= star;
            if !field.text.is_empty() {
                field.text.push(',');
            }
            field.text.push_str(&kind.written(first, last, step, star));
        }
        Ok(field)
    }
}

impl Kind {
    /// The first and the last value of a part, the step, and whether it is a star.
    fn part(&self, text: &str) -> Result<(u8, u8, u8, bool), String> {
        let (values, step) = match text.split_once('/') {
            Some((values, step)) => (values, Some(self.step(step)?)),
            None => (text, None),
        };
        if values == "*" {
            let most = if self.most == WEEKDAY.most { self.most - 1 } else { self.most };
            return Ok((self.least, most, step.unwrap_or(1), true));
        }
        let (first, last) = match values.split_once('-') {
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None => {
                let value = self.value(values)?;
                if step.is_some() {
                    let Self { most, .. } = self;
                    return Err(format!("a step needs a range before it, such as `{value}-{most}` or `*`"));
                }
                (value, value)
            }
        };
        if first > last {
            let Self { least, most, .. } = self;
            return Err(format!(
                "the range `{values}` runs backwards; write `{first}-{most},{least}-{last}`"
            ));
        }
        Ok((first, last, step.unwrap_or(1), false))
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        let Self { least, most, names, .. } = self;
        let lower = text.to_ascii_lowercase();
        let named = (*least..).zip(*names).find(|(_, name)| **name == lower).map(|(value, _)| value);
        let value = named.or_else(|| number(text)).filter(|value| (*least..=*most).contains(value));
        value.ok_or_else(|| {
            let reason = match text {
                "" => "a value is missing".to_owned(),
                "?" => "`?` is not supported; write `*`".to_owned(),
                _ if is_special(&lower) => format!(
                    "`{}` is not supported: `L`, `W`, `#` and `H` are extensions that cron does not have",
                    shown(text)
                ),
                _ => format!("`{}` is no value", shown(text)),
            };
            let names = match (names.first(), names.last()) {
                (Some(first), Some(last)) => {
                    format!(" or {} to {}", first.to_uppercase(), last.to_uppercase())
                }
                _ => String::new(),
            };
            format!("{reason}; values are {least} to {most}{names}")
        })
    }

    fn step(&self, text: &str) -> Result<u8, String> {
        let most = self.most;
        number(text).filter(|step| (1..=most).contains(step)).ok_or_else(|| {
            format!("the step `{}` is not 1 to {most}; it counts within the field only", shown(text))
        })
    }

    /// Sunday has two numbers.
    fn folded(&self, value: u8) -> u8 {
        if self.most == WEEKDAY.most && value == WEEKDAY.most { 0 } else { value }
    }

    fn written(&self, first: u8, last: u8, step: u8, star: bool) -> String {
        let values = if star {
            "*".to_owned()
        } else if first == last {
            return self.folded(first).to_string();
        } else {
            format!("{first}-{last}")
        };
        if step == 1 { values } else { format!("{values}/{step}") }
    }

    fn refuse(&self, text: &str, rule: &str) -> InvalidSchedule {
        InvalidSchedule::new(format!("the field `{}`, the {}, is not valid: {rule}", shown(text), self.name))
    }
}

/// One or two digits.
fn number(text: &str) -> Option<u8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Whether it looks like an extension of other crons, such as `L`, `15W`, `5#3`, `FRIL` or `H`.
fn is_special(lower: &str) -> bool {
    lower.contains('#')
        || matches!(lower, "l" | "w" | "lw" | "h")
        || lower
            .strip_suffix(['l', 'w'])
            .is_some_and(|before| number(before).is_some() || WEEKDAY.names.contains(&before))
}

/// As much of a text as an error tells.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
