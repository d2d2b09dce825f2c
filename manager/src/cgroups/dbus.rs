//! Messages of D-Bus, as far as it takes to ask systemd for a slice: the D-Bus Specification, "Message Protocol". Pure.
//!
//! By hand, for its size: the manager's image has a ceiling. Measured in a static program as the manager is built, `zbus`
//! 5.19 (tokio, no default features) is 800 kB, `zvariant` 5.15 for the values alone 100 kB, of 159 that were left.
//! `rustbus` 0.19 blocks, and brings an old `nix`.

/// The byte order of what is sent, and of every machine that this is built for.
const LITTLE: u8 = b'l';
const VERSION: u8 = 1;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

// Fields of a header.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Bytes of a header before its fields.
pub(crate) const FIXED: usize = 16;
/// The largest message that is taken; the specification's own bound is higher.
const LARGEST: usize = 16 << 20;

/// A call of a method.
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
    /// Types of the arguments, as [`Args`] holds them; empty where there is none.
    pub(crate) signature: &'a str,
    pub(crate) args: Args,
}

impl Call<'_> {
    /// The message.
    pub(crate) fn bytes(&self, serial: u32) -> Vec<u8> {
        let mut message = Args(vec![LITTLE, METHOD_CALL, 0, VERSION]);
        message.u32(length(&self.args.0));
        message.u32(serial);
        message.array(8, |fields| {
            for (code, kind, value) in [
                (PATH, "o", self.path),
                (DESTINATION, "s", self.destination),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (SIGNATURE, "g", self.signature),
            ] {
                if !value.is_empty() {
                    fields.align(8);
                    fields.0.push(code);
                    fields.signature(kind);
                    if kind == "g" { fields.signature(value) } else { fields.string(value) }
                }
            }
        });
        message.align(8);
        message.0.extend_from_slice(&self.args.0);
        message.0
    }
}

/// Values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Args(Vec<u8>);

impl Args {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.u32(value.into());
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.u32(length(text.as_bytes()));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).expect("invariant: signatures here are short"));
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    /// An array of elements that `align` like this.
    pub(crate) fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len();
        // What pads the first element does not count.
        self.align(align);
        let start = self.0.len();
        fill(self);
        let bytes = length(&self.0[start..]);
        self.0[at - 4..at].copy_from_slice(&bytes.to_le_bytes());
    }

    /// `as`.
    pub(crate) fn strings(&mut self, all: &[&str]) {
        self.array(4, |args| all.iter().for_each(|text| args.string(text)));
    }

    /// `a(sa(sv))`: these properties of each of these units.
    pub(crate) fn units(&mut self, all: &[(&str, &[(&str, Value<'_>)])]) {
        self.array(8, |args| {
            for (name, properties) in all {
                args.align(8);
                args.string(name);
                args.properties(properties);
            }
        });
    }

    /// `a(sv)`.
    pub(crate) fn properties(&mut self, all: &[(&str, Value<'_>)]) {
        self.array(8, |args| {
            for (name, value) in all {
                args.align(8);
                args.string(name);
                match value {
                    Value::Text(text) => {
                        args.signature("s");
                        args.string(text);
                    }
                    Value::Switch(on) => {
                        args.signature("b");
                        args.bool(*on);
                    }
                    Value::Number(number) => {
                        args.signature("t");
                        args.align(8);
                        args.0.extend_from_slice(&number.to_le_bytes());
                    }
                }
            }
        });
    }
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Switch(bool),
    Text(&'a str),
    Number(u64),
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("invariant: what is sent is short")
}

/// How many bytes follow the first [`FIXED`] ones of a message; `None` where they begin none that is taken.
pub(crate) fn rest(fixed: &[u8; FIXED]) -> Option<usize> {
    let word = |at: usize| fixed.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let fields = usize::try_from(word(12)?).ok()?;
    let body = usize::try_from(word(4)?).ok()?;
    let sound = fixed[0] == LITTLE && fixed[3] == VERSION && fields <= LARGEST && body <= LARGEST;
    sound.then(|| fields.next_multiple_of(8) + body)
}

/// An answer to a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The values that it returned.
    Return(Vec<u8>),
    /// The error's name, and words for people.
    Error(String, String),
}

/// The call that a message answers, by its serial, and how; `None` where it answers none.
pub(crate) fn answer(fixed: &[u8; FIXED], rest: &[u8]) -> Option<(u32, Answer)> {
    let fields = usize::try_from(u32::from_le_bytes(fixed[12..16].try_into().ok()?)).ok()?;
    let body = rest.get(fields.next_multiple_of(8)..)?;
    let (mut to, mut error) = (None, String::new());
    // The fields begin at a multiple of 8 too.
    let mut reader = Values { bytes: rest.get(..fields)?, at: 0 };
    while reader.at < fields {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.signature()?) {
            (REPLY_SERIAL, "u") => to = Some(reader.u32()?),
            (ERROR_NAME, "s") => error = reader.string()?.to_owned(),
            (_, "s" | "o") => _ = reader.string()?,
            (_, "g") => _ = reader.signature()?,
            (_, "u") => _ = reader.u32()?,
            _ => return None,
        }
    }
    let answer = match fixed[1] {
        METHOD_RETURN => Answer::Return(body.to_owned()),
        ERROR => {
            let words = Values::of(body).string().unwrap_or_default().to_owned();
            Answer::Error(error, words)
        }
        _ => return None,
    };
    Some((to?, answer))
}

/// Reads values; each read is `None` where the text ends, or is no such value.
pub(crate) struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Values<'a> {
    /// Of a body.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Values { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let text = std::str::from_utf8(self.take(length)?).ok();
        self.byte()?;
        text
    }

    fn string(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.text(length)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        self.text(length)
    }

    /// A variant that holds a number of 64 bits.
    pub(crate) fn number(&mut self) -> Option<u64> {
        (self.signature()? == "t").then_some(())?;
        self.align(8);
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// `a(ssssssouso)`, what systemd lists of units: of each its name, its description and its object.
    pub(crate) fn units(&mut self) -> Option<Vec<[&'a str; 3]>> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.align(8);
        let end = self.at.checked_add(length)?;
        let mut units = Vec::new();
        while self.at < end {
            self.align(8);
            let (name, description) = (self.string()?, self.string()?);
            for _ in 0..4 {
                self.string()?;
            }
            let object = self.string()?;
            self.u32()?;
            self.string()?;
            self.string()?;
            units.push([name, description, object]);
        }
        Some(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(signature: &str, args: Args) -> Call<'_> {
        Call { destination: "a.b", path: "/a", interface: "a.b.C", member: "Do", signature, args }
    }

    /// A message as it is read: the first bytes, and the rest.
    fn split(message: &[u8]) -> ([u8; FIXED], &[u8]) {
        let (fixed, after) = message.split_at(FIXED);
        let fixed = fixed.try_into().expect("sixteen");
        assert_eq!(rest(&fixed), Some(after.len()));
        (fixed, after)
    }

    #[test]
    fn a_call_is_written_byte_by_byte_as_the_specification_says() {
        let mut args = Args::default();
        args.string("x");
        args.properties(&[("N", Value::Number(5)), ("T", Value::Text("y"))]);
        let message = call("sa(sv)", args).bytes(7);
        let want = [
            &b"l\x01\x00\x01"[..],
            &58_u32.to_le_bytes(),
            &7_u32.to_le_bytes(),
            &76_u32.to_le_bytes(),
            b"\x01\x01o\x00\x02\x00\x00\x00/a\x00\x00\x00\x00\x00\x00",
            b"\x06\x01s\x00\x03\x00\x00\x00a.b\x00\x00\x00\x00\x00",
            b"\x02\x01s\x00\x05\x00\x00\x00a.b.C\x00\x00\x00",
            b"\x03\x01s\x00\x02\x00\x00\x00Do\x00\x00\x00\x00\x00\x00",
            b"\x08\x01g\x00\x06sa(sv)\x00",
            b"\x00\x00\x00\x00",
        ]
        .concat();
        let (header, body) = message.split_at(message.len() - 58);
        assert_eq!(header, want);
        let body_wanted = [
            &b"\x01\x00\x00\x00x\x00\x00\x00"[..],
            &42_u32.to_le_bytes(),
            b"\x00\x00\x00\x00",
            b"\x01\x00\x00\x00N\x00\x01t\x00",
        ]
        .concat();
        assert_eq!(body[..body_wanted.len()], body_wanted);
        split(&message);
    }

    #[test]
    fn answers_are_read_and_anything_else_is_not() {
        let reply = |kind: u8, fields: &dyn Fn(&mut Args), body: &Args| {
            let mut message = Args(vec![LITTLE, kind, 0, VERSION]);
            message.u32(length(&body.0));
            message.u32(9);
            message.array(8, |args| fields(args));
            message.align(8);
            message.0.extend_from_slice(&body.0);
            message.0
        };
        let to_seven = |args: &mut Args| {
            args.align(8);
            args.0.push(REPLY_SERIAL);
            args.signature("u");
            args.u32(7);
        };
        let mut words = Args::default();
        words.string("no");
        let message = reply(METHOD_RETURN, &to_seven, &words);
        let (fixed, after) = split(&message);
        assert_eq!(answer(&fixed, after), Some((7, Answer::Return(words.0.clone()))));
        let failed = |args: &mut Args| {
            args.0.push(ERROR_NAME);
            args.signature("s");
            args.string("a.b.Failed");
            to_seven(args);
        };
        let message = reply(ERROR, &failed, &words);
        let (fixed, after) = split(&message);
        assert_eq!(answer(&fixed, after), Some((7, Answer::Error("a.b.Failed".into(), "no".into()))));
        // A signal.
        let message = reply(4, &to_seven, &words);
        let (fixed, after) = split(&message);
        assert_eq!(answer(&fixed, after), None);
        // Cut off anywhere, and with any byte wrong: no panic.
        let message = reply(ERROR, &failed, &words);
        let (fixed, after) = split(&message);
        for end in 0..after.len() {
            _ = answer(&fixed, &after[..end]);
        }
        for at in 0..after.len() {
            for wrong in [0, 1, 0x7f, 0xff] {
                let mut broken = after.to_owned();
                broken[at] = wrong;
                _ = answer(&fixed, &broken);
            }
        }
        assert_eq!(rest(&[b'B'; FIXED]), None, "the other byte order");
        assert_eq!(rest(&[0xff; FIXED]), None);
    }

    #[test]
    fn units_and_numbers_are_read() {
        let mut body = Args::default();
        body.array(8, |args| {
            for name in ["tandem-a.slice", "tandem-b.slice"] {
                args.align(8);
                for text in [name, "of a pod", "loaded", "active", "active", "", "/unit/a"] {
                    args.string(text);
                }
                args.u32(0);
                args.string("");
                args.string("/");
            }
        });
        let want = vec![["tandem-a.slice", "of a pod", "/unit/a"], ["tandem-b.slice", "of a pod", "/unit/a"]];
        assert_eq!(Values::of(&body.0).units(), Some(want));
        for end in 0..body.0.len() {
            assert_eq!(Values::of(&body.0[..end]).units(), None);
        }
        let number = [&b"\x01t\x00\x00\x00\x00\x00\x00"[..], &5_u64.to_le_bytes()].concat();
        assert_eq!(Values::of(&number).number(), Some(5));
        assert_eq!(Values::of(b"\x01s\x00").number(), None);
    }
}
