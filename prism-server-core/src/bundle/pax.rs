//! Extended headers of POSIX.1-2001: lines of `LENGTH NAME=VALUE`, where the length counts the whole line.

use super::error::Fault;

/// What an extended header says of the member that follows it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

/// What changes nothing of a member that is kept: the clean archive has times and owners of its own.
const PASSED_OVER: [&[u8]; 8] =
    [b"atime", b"comment", b"ctime", b"gid", b"gname", b"mtime", b"uid", b"uname"];

/// Reads an extended header. What is not known changes what a member is for those who know it, so it is refused.
pub(super) fn parse(mut text: &[u8]) -> Result<Extended, Fault> {
    let mut extended = Extended::default();
    while !text.is_empty() {
        let (name, value, rest) = record(text).ok_or(Fault::Extended("it has a line of another form"))?;
        text = rest;
        let known = match name {
            b"path" => extended.path.replace(value.to_vec()).is_none(),
            b"linkpath" => extended.target.replace(value.to_vec()).is_none(),
            b"size" => {
                let size = digits(value).ok_or(Fault::Extended("its size is not a number"))?;
                extended.size.replace(size).is_none()
            }
            _ if PASSED_OVER.contains(&name) => true,
            _ if name.starts_with(b"GNU.sparse.") => return Err(Fault::Forbidden("a sparse file")),
            _ => return Err(Fault::Extended("it has a field that is not known")),
        };
        if !known {
            return Err(Fault::Extended("it says the same twice"));
        }
    }
    Ok(extended)
}

/// The name, the value and what follows.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = text.iter().take(8).position(|byte| *byte == b' ')?;
    let length = usize::try_from(digits(&text[..space])?).ok()?;
    let (line, rest) = text.split_at_checked(length)?;
    let record = line.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&record[..equals], &record[equals + 1..]);
    (!name.is_empty()).then_some((name, value, rest))
}

fn digits(text: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    let number =
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_as_long_as_they_say_whatever_is_in_them() {
        let text = b"12 path=a\nb\n12 linkpath=\n11 mtime=1\n15 size=8589934\n";
        assert_eq!(text[..12].len(), 12);
        let mut fixed = Vec::new();
        for (name, value) in [("path", "a\nb=c"), ("linkpath", ""), ("mtime", "1.5"), ("size", "8589934592")]
        {
            fixed.extend(line(name, value));
        }
        let expected =
            Extended { path: Some(b"a\nb=c".to_vec()), target: Some(Vec::new()), size: Some(8_589_934_592) };
        assert_eq!(parse(&fixed), Ok(expected));
        assert_eq!(parse(b""), Ok(Extended::default()));
    }

    fn line(name: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {name}={value}\n");
        let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length).unwrap();
        format!("{length}{rest}").into_bytes()
    }

    #[test]
    fn lines_of_another_form_are_refused() {
        for text in [
            &b"x"[..],
            b"0 a=b\n",
            b"7 a=b\n",
            b"5 a=b\n",
            b"+6 a=b\n",
            b"6 a=b ",
            b"5 abc\n",
            b"6 abc\n",
            b" 6 a=b\n",
            b"5 =b\n",
            b"99999999999 path=b\n",
            b"00000000009 path=b\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        for (name, value) in [
            ("size", ""),
            ("size", "-1"),
            ("size", "+1"),
            ("size", "1.0"),
            ("size", "18446744073709551616"),
            ("hdrcharset", "BINARY"),
            ("SCHILY.xattr.user.a", "b"),
            ("GNU.sparse.major", "1"),
            ("PATH", "a"),
        ] {
            assert!(parse(&line(name, value)).is_err(), "{name}={value}");
        }
        assert!(parse(&[line("path", "a"), line("path", "b")].concat()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(path in ".{0,300}", size in any::<u64>()) {
            let text = [line("path", &path), line("size", &size.to_string())].concat();
            let extended = parse(&text).unwrap();
            prop_assert_eq!(extended.path, Some(path.into_bytes()));
            prop_assert_eq!(extended.size, Some(size));
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn any_lines_are_read_or_refused(text in "[0-9]{1,2} [a-z=\n]{0,20}\n") {
            let _ = parse(text.as_bytes());
        }
    }
}
