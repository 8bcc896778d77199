//! A bounds-checked cursor over the mapped file. Messages carry the offset; the caller adds the path.

/// What stands before the metadata.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) n_tensors: u64,
    pub(super) n_kv: u64,
}

/// The cursor. Nothing it returns reaches past the end of `data`.
pub(super) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn starting_at(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn remaining(&self) -> usize {
        self.data.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, n: u64, what: &str) -> Result<&'a [u8], String> {
        if n > self.remaining() as u64 {
            let (at, left) = (self.at, self.remaining());
            return Err(format!(
                "{what} at byte {at} needs {n} bytes, {left} are left; the file is truncated or damaged"
            ));
        }
        let bytes = &self.data[self.at..self.at + n as usize];
        self.at += n as usize;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let bytes = self.take(N as u64, what)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A GGUF string: u64 length, then that many bytes of UTF-8.
    pub(super) fn string(&mut self, what: &str) -> Result<&'a str, String> {
        let at = self.at;
        let n = self.u64(what)?;
        let bytes = self.take(n, what)?;
        std::str::from_utf8(bytes).map_err(|_| format!("{what} at byte {at} is not UTF-8"))
    }

    /// Refuses a count that the rest of the file cannot hold, before anything of that size is made.
    pub(super) fn check_count(&self, n: u64, min_bytes: u64, what: &str) -> Result<usize, String> {
        if n > self.remaining() as u64 / min_bytes {
            let (at, left) = (self.at, self.remaining());
            return Err(format!(
                "{n} {what} cannot fit into the {left} bytes left at byte {at}; the file is damaged"
            ));
        }
        Ok(n as usize)
    }

    pub(super) fn header(&mut self) -> Result<Header, String> {
        if self.take(4, "the magic")? != b"GGUF" {
            return Err("does not start with GGUF; convert the model to GGUF first".into());
        }
        let version = self.u32("the version")?;
        if !(2..=3).contains(&version) {
            let hint = if (1..16).contains(&version.swap_bytes()) {
                " (a big-endian file)"
            } else {
                ""
            };
            return Err(format!(
                "is GGUF version {version}{hint}; little-endian versions 2 and 3 are read"
            ));
        }
        let n_tensors = self.u64("the tensor count")?;
        let n_kv = self.u64("the metadata count")?;
        Ok(Header {
            version,
            n_tensors,
            n_kv,
        })
    }
}
