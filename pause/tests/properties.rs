//! The release program against `properties.toml`.

use std::fs;

use crate::stage::program;

/// A value of `properties.toml`, as it is written there.
fn expected(key: &str) -> String {
    let content = include_str!("../properties.toml");
    let line = content.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
    line.unwrap_or_else(|| panic!("no `{key}` in properties.toml")).trim().to_owned()
}

/// The strings of a list.
fn expected_list(key: &str) -> Vec<String> {
    expected(key).split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// An ELF file of 64 bits, as far as it is needed here (`elf(5)`).
struct Elf(Vec<u8>);

impl Elf {
    fn number(&self, at: usize, size: usize) -> usize {
        let bytes = &self.0[at..at + size];
        bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    fn kind(&self) -> &'static str {
        match self.number(16, 2) {
            2 => "EXEC",
            3 => "DYN",
            _ => "other",
        }
    }

    fn segments(&self) -> Vec<String> {
        let (first, size, count) = (self.number(32, 8), self.number(54, 2), self.number(56, 2));
        (0..count)
            .map(|index| {
                let header = first + index * size;
                let kind = match self.number(header, 4) {
                    1 => "LOAD".to_owned(),
                    2 => "DYNAMIC".to_owned(),
                    3 => "INTERP".to_owned(),
                    0x6474_e551 => "GNU_STACK".to_owned(),
                    other => format!("{other:#x}"),
                };
                let flags = self.number(header + 4, 4);
                let flag = |bit, letter| if flags & bit != 0 { letter } else { '-' };
                format!("{kind} {}{}{}", flag(4, 'r'), flag(2, 'w'), flag(1, 'x'))
            })
            .collect()
    }

    fn sections(&self) -> Vec<String> {
        let (first, size) = (self.number(40, 8), self.number(58, 2));
        let (count, names) = (self.number(60, 2), self.number(62, 2));
        let table = self.number(first + names * size + 24, 8);
        (0..count)
            .map(|index| {
                let name = &self.0[table + self.number(first + index * size, 4)..];
                let end = name.iter().position(|byte| *byte == 0).expect("a name ends");
                String::from_utf8_lossy(&name[..end]).into_owned()
            })
            .collect()
    }
}

fn elf() -> Elf {
    Elf(fs::read(program()).expect("the program"))
}

#[test]
fn it_is_no_larger_than_it_may_be() {
    let most: usize = expected("file_size_max").parse().expect("a number");
    let size = elf().0.len();
    println!("{size} bytes, of {most}");
    assert!(size <= most, "{size} bytes, of {most}");
}

#[test]
fn it_has_these_segments_and_no_other() {
    let elf = elf();
    assert_eq!(elf.kind(), expected("kind").trim_matches('"'));
    assert_eq!(elf.segments(), expected_list("segments"));
    assert!(elf.segments().iter().all(|segment| !segment.ends_with("rwx") && !segment.ends_with("-wx")));
}

#[test]
fn it_has_these_sections_and_no_other() {
    assert_eq!(elf().sections(), expected_list("sections"));
}

#[test]
fn it_can_neither_panic_with_words_nor_ask_for_a_c_library() {
    let content = elf().0;
    let words = expected_list("absent_words");
    assert!(words.len() > 5, "the list is read");
    for word in words {
        let found = content.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "`{word}`");
    }
}
