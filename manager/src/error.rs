//! Why a command ends before it has done anything.

use pod::exit_status::STATUS_USAGE;

/// Why a pod was not begun.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The exit status that says so.
    pub status: u8,
    /// Why, for people.
    pub words: String,
}

impl Refusal {
    /// Something is wrong with what was asked for.
    pub fn usage(words: impl ToString) -> Self {
        Refusal { status: STATUS_USAGE, words: words.to_string() }
    }
}
