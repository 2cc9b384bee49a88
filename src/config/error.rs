//! What can be wrong with a configuration. `cli` prints it as one sentence and exits with 1.
//!
//! Invariant: every sentence names the key, its value and the way out.

/// A configuration that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not a `.properties` file.
    #[error("{file}, line {line}: {problem}")]
    Syntax {
        /// The file's name.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A value that its key does not allow.
    #[error("{place}: {problem}")]
    Value {
        /// File and line, or the command line.
        place: String,
        /// What is wrong, as a sentence.
        problem: String,
    },
    /// Values that do not go together, or that nothing stands behind yet.
    #[error("{0}")]
    Combination(String),
}

impl ConfigError {
    pub(super) fn combination(sentence: impl Into<String>) -> ConfigError {
        ConfigError::Combination(sentence.into())
    }
}
