//! From tokens to a phrase, by recursive descent; see [the grammar](super).

use super::{Bits, Days, Phrase, WEEK, WEEKDAYS, WEEKEND, YEAR, tokens::Token, words};

/// Numbers of minutes that come out even in an hour.
const MINUTES: [u16; 11] = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
/// Numbers of hours that come out even in a day.
const HOURS: [u16; 7] = [1, 2, 3, 4, 6, 8, 12];

type Parsed<T> = Result<T, String>;

/// How often, before the times are known.
#[derive(Clone, Copy)]
enum Frequency {
    Interval(Phrase),
    Days(Days),
    /// A macro's word, which has its own day when no time is said.
    Alone {
        days: Days,
        say: &'static str,
    },
}

/// Reads a phrase that is made of these tokens.
pub(super) fn read(tokens: &[Token]) -> Parsed<Phrase> {
    let mut parser = Parser { rest: tokens };
    let early = parser.times()?;
    let frequency = parser.frequency()?;
    let times = match early {
        Some(times) => Some(times),
        None => parser.times()?,
    };
    parser.end()?;
    let times = times.map(product).transpose()?;
    match (frequency, times) {
        (Frequency::Interval(phrase), None) => Ok(phrase),
        (Frequency::Interval(_), Some(_)) => {
            Err("an interval has no times; say `every hour at :30` or the times of a day".to_owned())
        }
        (Frequency::Days(days) | Frequency::Alone { days, .. }, None) => {
            Ok(Phrase::Times { days, hours: Bits::of([0]), minutes: Bits::of([0]) })
        }
        (Frequency::Days(days), Some((hours, minutes))) => Ok(Phrase::Times { days, hours, minutes }),
        (Frequency::Alone { say, .. }, Some(_)) => {
            Err(format!("with a time the day has to be said, as in `{say}`"))
        }
    }
}

/// Times as hours and minutes that cron can combine.
fn product(times: Vec<(u8, u8)>) -> Parsed<(Bits, Bits)> {
    let hours = Bits::of(times.iter().map(|(hour, _)| *hour));
    let minutes = Bits::of(times.iter().map(|(_, minute)| *minute));
    let all = |hour| minutes.iter().all(|minute| times.contains(&(hour, minute)));
    if hours.iter().all(all) {
        return Ok((hours, minutes));
    }
    Err("times with different minutes are no single schedule; make an automation for each".to_owned())
}

/// What is left to read.
struct Parser<'a> {
    rest: &'a [Token],
}

impl Parser<'_> {
    fn frequency(&mut self) -> Parsed<Frequency> {
        if let Some(alone) = self.alone() {
            return Ok(alone);
        }
        let every = self.takes(&["every", "each"]);
        if every && let Some(interval) = self.interval()? {
            return Ok(Frequency::Interval(interval));
        }
        if self.takes(&["daily", "everyday"]) || every && self.takes(&["day"]) {
            return Ok(Frequency::Days(Days::OfWeek(WEEK)));
        }
        if self.takes(&["hourly"]) {
            return self.hours(1).map(Frequency::Interval);
        }
        let days = if self.takes(&["weekly"]) || every && self.takes(&["week"]) {
            self.need("on")?;
            Days::OfWeek(self.weekdays()?)
        } else if self.takes(&["monthly"]) || every && self.takes(&["month"]) {
            self.need("on")?;
            Days::OfMonth { days: self.dates()?, months: YEAR }
        } else if self.takes(&["yearly", "annually"]) || every && self.takes(&["year"]) {
            self.need("on")?;
            self.date_of_year()?
        } else if !every && self.takes(&["on"]) && self.at_date() {
            self.date_of_year()?
        } else {
            Days::OfWeek(self.weekdays()?)
        };
        Ok(Frequency::Days(days))
    }

    /// A word that is a whole schedule by itself; followed by something it may be the start of another.
    fn alone(&mut self) -> Option<Frequency> {
        let [Token::Word(word), after @ ..] = self.rest else { return None };
        let first = Bits::of([1]);
        let (days, say) = match word.as_str() {
            "weekly" => (Days::OfWeek(Bits::of([0])), "weekly on monday at 9:00"),
            "monthly" => (Days::OfMonth { days: first, months: YEAR }, "monthly on the 1st at 9:00"),
            "yearly" | "annually" => {
                (Days::OfMonth { days: first, months: first }, "yearly on january 1 at 9:00")
            }
            _ => return None,
        };
        if !matches!(after.first(), None | Some(Token::Word(_))) || self.next_is(1, "on") {
            return None;
        }
        self.rest = after;
        Some(Frequency::Alone { days, say })
    }

    /// What follows `every`, when it is an interval.
    fn interval(&mut self) -> Parsed<Option<Phrase>> {
        let number = match self.rest {
            [Token::Number(number, _), Token::Word(unit), ..] if !words::is_ordinal_ending(unit) => {
                self.rest = &self.rest[1..];
                Some(*number)
            }
            _ => None,
        };
        if self.takes(&["minute", "minutes", "min", "mins"]) {
            let every = dividing(number, &MINUTES, "minute", "60")?;
            return Ok(Some(Phrase::Minutes { every, on: self.interval_days()? }));
        }
        if self.takes(&["hour", "hours"]) {
            return self.hours(dividing(number, &HOURS, "hour", "24")?).map(Some);
        }
        match (number, self.rest.first()) {
            (Some(number), Some(Token::Word(unit))) => Err(format!(
                "`every {number} {unit}` cannot be said in cron; only minutes and hours can have a number"
            )),
            _ => Ok(None),
        }
    }

    /// The rest of an interval of hours.
    fn hours(&mut self, every: u8) -> Parsed<Phrase> {
        let minute = match self.rest {
            [Token::Word(at), Token::Colon, Token::Number(minute, 2), ..] if at == "at" => {
                let minute = below(*minute, 60).ok_or("a minute is 00 to 59")?;
                self.rest = &self.rest[3..];
                minute
            }
            _ => 0,
        };
        Ok(Phrase::Hours { every, minute, on: self.interval_days()? })
    }

    /// The days of the week that an interval is kept to.
    fn interval_days(&mut self) -> Parsed<Bits> {
        if self.takes(&["on"]) { self.weekdays() } else { Ok(WEEK) }
    }

    fn weekdays(&mut self) -> Parsed<Bits> {
        let mut days = Bits::default();
        loop {
            if self.takes(&["weekday", "weekdays"]) {
                days.0 |= WEEKDAYS.0;
            } else if self.takes(&["weekend", "weekends"]) {
                days.0 |= WEEKEND.0;
            } else {
                let first = self.weekday()?;
                let last = if self.takes(&["to", "through"]) { self.weekday()? } else { first };
                // A range may go past the end of the week.
                let span = (last + 7 - first) % 7;
                days.0 |= Bits::of((0..=span).map(|step| (first + step) % 7)).0;
            }
            if !self.separator() {
                return Ok(days);
            }
            self.takes(&["every", "each", "on"]);
        }
    }

    fn weekday(&mut self) -> Parsed<u8> {
        self.take("a day", |token| match token {
            Token::Word(word) => words::day(word),
            _ => None,
        })
    }

    /// `march 1`, or `the 1st of march`, or `the 1st of every month`.
    fn date_of_year(&mut self) -> Parsed<Days> {
        if let Some(month) = self.month() {
            return Ok(Days::OfMonth { days: self.dates()?, months: Bits::of([month]) });
        }
        let days = self.dates()?;
        self.need("of")?;
        if self.takes(&["every", "each"]) {
            self.need("month")?;
            return Ok(Days::OfMonth { days, months: YEAR });
        }
        let mut months = Bits::default();
        loop {
            let Some(month) = self.month() else { return Err(self.wanted("a month, or `every month`,")) };
            months = months.with(month);
            if !self.separator() {
                return Ok(Days::OfMonth { days, months });
            }
        }
    }

    fn dates(&mut self) -> Parsed<Bits> {
        let mut days = Bits::default();
        loop {
            self.takes(&["the"]);
            if self.next_is(0, "last") {
                return Err("cron cannot say the last day of a month; take the 28th, or the 1st of the next"
                    .to_owned());
            }
            let day = self.take("a day of the month", |token| match token {
                Token::Number(day, _) => below(*day, 32).filter(|day| *day > 0),
                Token::Word(word) => words::ordinal(word),
                _ => None,
            })?;
            if let Some(Token::Word(word)) = self.rest.first()
                && words::is_ordinal_ending(word)
            {
                self.rest = &self.rest[1..];
            }
            days = days.with(day);
            if !self.separator() {
                return Ok(days);
            }
        }
    }

    /// Whether a date follows, and not a day of the week.
    fn at_date(&self) -> bool {
        match self.rest.first() {
            Some(Token::Number(..)) => true,
            Some(Token::Word(word)) => {
                matches!(word.as_str(), "the" | "last")
                    || words::ordinal(word).is_some()
                    || words::month(word).is_some()
            }
            _ => false,
        }
    }

    fn month(&mut self) -> Option<u8> {
        let Some(Token::Word(word)) = self.rest.first() else { return None };
        let month = words::month(word)?;
        self.rest = &self.rest[1..];
        Some(month)
    }

    /// `at` and times, if they follow.
    fn times(&mut self) -> Parsed<Option<Vec<(u8, u8)>>> {
        if !self.takes(&["at"]) {
            return Ok(None);
        }
        let mut times = Vec::new();
        loop {
            times.push(self.time()?);
            if !self.separator() {
                return Ok(Some(times));
            }
            self.takes(&["at"]);
        }
    }

    fn time(&mut self) -> Parsed<(u8, u8)> {
        if self.takes(&["noon", "midday"]) {
            return Ok((12, 0));
        }
        if self.takes(&["midnight"]) {
            return Ok((0, 0));
        }
        let (hour, minute) = match self.rest {
            [Token::Number(hour, _), Token::Colon, Token::Number(minute, 2), rest @ ..] => {
                self.rest = rest;
                (*hour, Some(*minute))
            }
            [Token::Number(hour, _), rest @ ..] => {
                self.rest = rest;
                (*hour, None)
            }
            _ => return Err(self.wanted("a time, such as `9:00`, `9am` or `noon`,")),
        };
        let afternoon = self.takes(&["pm"]);
        let half = afternoon || self.takes(&["am"]);
        let minute = match minute {
            Some(minute) => minute,
            None if half => 0,
            None => {
                return Err(format!(
                    "`at {hour}` may be morning or evening; write `{hour}:00`, `{hour}am` or `{hour}pm`"
                ));
            }
        };
        let valid = minute < 60 && if half { (1..=12).contains(&hour) } else { hour < 24 };
        if !valid {
            return Err("a time is 0:00 to 23:59, or 1 to 12 with `am` or `pm`".to_owned());
        }
        let hour = if half { hour % 12 + if afternoon { 12 } else { 0 } } else { hour };
        below(hour, 24).zip(below(minute, 60)).ok_or_else(|| "a time is 0:00 to 23:59".to_owned())
    }

    /// A comma, `and`, or both, between two items.
    fn separator(&mut self) -> bool {
        let comma = matches!(self.rest.first(), Some(Token::Comma));
        if comma {
            self.rest = &self.rest[1..];
        }
        self.takes(&["and"]) || comma
    }

    fn takes(&mut self, words: &[&str]) -> bool {
        let found = matches!(self.rest.first(), Some(Token::Word(word)) if words.contains(&word.as_str()));
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn next_is(&self, at: usize, wanted: &str) -> bool {
        matches!(self.rest.get(at), Some(Token::Word(word)) if word == wanted)
    }

    fn need(&mut self, word: &str) -> Parsed<()> {
        if self.takes(&[word]) { Ok(()) } else { Err(self.wanted(&format!("`{word}`"))) }
    }

    fn take<T>(&mut self, wanted: &str, read: impl FnOnce(&Token) -> Option<T>) -> Parsed<T> {
        let Some(value) = self.rest.first().and_then(read) else { return Err(self.wanted(wanted)) };
        self.rest = &self.rest[1..];
        Ok(value)
    }

    fn end(&self) -> Parsed<()> {
        match self.rest.first() {
            None => Ok(()),
            Some(token) => Err(format!("`{}` has no meaning here", shown(token))),
        }
    }

    /// That something else was wanted here.
    fn wanted(&self, wanted: &str) -> String {
        match self.rest.first() {
            Some(token) => format!("{wanted} was expected at `{}`", shown(token)),
            None => format!("{wanted} was expected at its end"),
        }
    }
}

fn shown(token: &Token) -> String {
    token.to_string().chars().take(40).collect()
}

fn below(number: u16, limit: u8) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| *number < limit)
}

/// A number of units that comes out even; without a number it is 1.
fn dividing(number: Option<u16>, allowed: &[u16], unit: &str, whole: &str) -> Parsed<u8> {
    let number = number.unwrap_or(1);
    if let Some(every) = u8::try_from(number).ok().filter(|_| allowed.contains(&number)) {
        return Ok(every);
    }
    let allowed: Vec<_> = allowed.iter().map(u16::to_string).collect();
    Err(format!(
        "{number} {unit}s do not come out even in {whole}; cron can do every {} {unit}s",
        allowed.join(", ")
    ))
}
