//! Every way in which the engine refuses or fails. The strings of [`Error::kind`] are fixed: the upstream maps them to
//! what it retries.

use std::path::PathBuf;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One failure, with the values that a reader needs to act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A malformed line, an unknown op or field, a request out of order.
    #[error("{0}")]
    BadRequest(String),
    /// A refused compressor configuration or a failed witness. `code` is a fixed string of the compressor registry.
    #[error("{message}")]
    Compressor {
        /// One of the registry's error codes, such as `param_range`.
        code: &'static str,
        /// The parameter, its value and what to do.
        message: String,
    },
    /// A format, weight type, vocabulary or architecture that this backend does not have.
    #[error("{0}")]
    Unsupported(String),
    /// A prompt that leaves no room in the context.
    #[error("{0}")]
    PromptTooLong(String),
    /// The chat template failed on this sample.
    #[error("{0}")]
    Template(String),
    /// NaN or infinity in K, V, scores or logits.
    #[error("{0}")]
    Numeric(String),
    /// An unreadable, truncated, damaged or mismatching model file.
    #[error("{}: {message}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the offset or the tensor.
        message: String,
    },
    /// Memory wanted and free, in bytes.
    #[error("{message}")]
    OutOfMemory {
        /// `host` or `device`.
        at: &'static str,
        /// Bytes wanted and free, the largest batch that fits, what to do.
        message: String,
    },
    /// A broken invariant of the engine.
    #[error("{0}")]
    Internal(String),
}

/// Every kind, in the order of the protocol page. CUDA's own stand here too: readers must know them.
pub const KINDS: &[&str] = &[
    "bad_request",
    "compressor",
    "unsupported",
    "prompt_too_long",
    "template",
    "numeric",
    "model_file",
    "out_of_memory",
    "kernel_compile",
    "library_missing",
    "no_device",
    "device_lost",
    "internal",
];

impl Error {
    /// The fixed name of this kind of failure.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Compressor { .. } => "compressor",
            Self::Unsupported(_) => "unsupported",
            Self::PromptTooLong(_) => "prompt_too_long",
            Self::Template(_) => "template",
            Self::Numeric(_) => "numeric",
            Self::ModelFile { .. } => "model_file",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the failure belongs to one sample, so that its cell goes on.
    pub fn is_of_sample(&self) -> bool {
        matches!(self, Self::PromptTooLong(_) | Self::Template(_) | Self::Numeric(_))
    }

    /// Whether the engine can go on with other requests.
    pub fn is_usable(&self) -> bool {
        !matches!(self, Self::Internal(_))
    }
}
