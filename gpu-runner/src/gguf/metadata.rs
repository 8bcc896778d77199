//! Metadata: typed values that stay in the mapping until a getter decodes them.

use super::reader::Reader;
use std::collections::HashMap;

/// Arrays of arrays nest at most this deep; no known file nests at all.
const MAX_DEPTH: usize = 4;
const MAX_KEY_BYTES: usize = 65_535;

/// The type of a metadata value, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

use ValueType as T;

impl ValueType {
    const ALL: [(T, &'static str, usize); 13] = [
        (T::U8, "u8", 1),
        (T::I8, "i8", 1),
        (T::U16, "u16", 2),
        (T::I16, "i16", 2),
        (T::U32, "u32", 4),
        (T::I32, "i32", 4),
        (T::F32, "f32", 4),
        (T::Bool, "bool", 1),
        (T::String, "string", 8),
        (T::Array, "array", 12),
        (T::U64, "u64", 8),
        (T::I64, "i64", 8),
        (T::F64, "f64", 8),
    ];

    fn from_id(id: u32, at: usize) -> Result<Self, String> {
        let row = Self::ALL.get(id as usize);
        row.map(|row| row.0)
            .ok_or_else(|| format!("value type {id} before byte {at} does not exist"))
    }

    /// Its name in the format's description.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Bytes of a scalar; of a string or array the least it can take.
    fn min_bytes(self) -> usize {
        Self::ALL[self as usize].2
    }
}

/// A checked value: its type and where it lies in the file.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// The type.
    pub ty: ValueType,
    /// First byte of the value.
    at: usize,
}

/// Walks the metadata section; returns the entries in file order and an index by key.
#[allow(clippy::type_complexity)]
pub(super) fn read(reader: &mut Reader, n: u64) -> Result<(Vec<(String, Value)>, HashMap<String, usize>), String> {
    let n = reader.check_count(n, 13, "metadata entries")?;
    let (mut entries, mut keys) = (Vec::new(), HashMap::new());
    for i in 0..n {
        let key = reader.string("a metadata key")?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Err(format!(
                "metadata key {i} has {} bytes; 1 to {MAX_KEY_BYTES} are allowed",
                key.len()
            ));
        }
        let ty = T::from_id(reader.u32(key)?, reader.at())?;
        let value = Value { ty, at: reader.at() };
        skip(reader, ty, key, 0)?;
        if keys.insert(key.to_owned(), i).is_some() {
            return Err(format!("metadata key {key} is there twice"));
        }
        entries.push((key.to_owned(), value));
    }
    Ok((entries, keys))
}

/// Moves past one value, checking all of it.
fn skip(reader: &mut Reader, ty: ValueType, key: &str, depth: usize) -> Result<(), String> {
    match ty {
        T::String => {
            reader.string(key)?;
        }
        T::Bool => check_bools(reader.take(1, key)?, key)?,
        T::Array => {
            if depth == MAX_DEPTH {
                return Err(format!("{key} nests arrays deeper than {MAX_DEPTH}"));
            }
            let (item, n) = array_head(reader, key)?;
            match item {
                T::String | T::Array => (0..n).try_for_each(|_| skip(reader, item, key, depth + 1))?,
                T::Bool => check_bools(reader.take(n as u64, key)?, key)?,
                _ => {
                    // cannot overflow: check_count has bounded n by the file's bytes over the item's
                    reader.take((n * item.min_bytes()) as u64, key)?;
                }
            }
        }
        _ => {
            reader.take(ty.min_bytes() as u64, key)?;
        }
    }
    Ok(())
}

fn check_bools(bytes: &[u8], key: &str) -> Result<(), String> {
    match bytes.iter().find(|&&byte| byte > 1) {
        Some(byte) => Err(format!("{key} holds {byte} where a bool must be 0 or 1")),
        None => Ok(()),
    }
}

fn array_head(reader: &mut Reader, key: &str) -> Result<(ValueType, usize), String> {
    let item = T::from_id(reader.u32(key)?, reader.at())?;
    let n = reader.u64(key)?;
    let n = reader.check_count(n, item.min_bytes() as u64, &format!("items of {key}"))?;
    Ok((item, n))
}

/// `general.alignment`, 32 where the file does not say.
pub(super) fn alignment(map: &[u8], entries: &[(String, Value)], keys: &HashMap<String, usize>) -> Result<u64, String> {
    let Some(&at) = keys.get("general.alignment") else {
        return Ok(32);
    };
    let value = u64::from_value(map, entries[at].1).map_err(|why| format!("general.alignment: {why}"))?;
    if !value.is_power_of_two() || !(8..=1 << 20).contains(&value) {
        return Err(format!(
            "general.alignment is {value}; it must be a power of two from 8 to 1048576"
        ));
    }
    Ok(value)
}

/// A Rust type that a metadata value can be decoded to.
pub trait FromValue<'a>: Sized {
    /// Decodes a checked value; the error says what was found.
    #[doc(hidden)]
    fn from_value(map: &'a [u8], value: Value) -> Result<Self, String>;
}

/// The bytes of a scalar, little-endian, widened to 8; `None` for strings and arrays.
fn scalar(map: &[u8], value: Value) -> Option<[u8; 8]> {
    if matches!(value.ty, T::String | T::Array) {
        return None;
    }
    let mut out = [0; 8];
    let n = value.ty.min_bytes();
    out[..n].copy_from_slice(&map[value.at..value.at + n]);
    Some(out)
}

fn integer(map: &[u8], value: Value) -> Option<i128> {
    let raw = u64::from_le_bytes(scalar(map, value)?);
    match value.ty {
        T::U8 | T::U16 | T::U32 | T::U64 => Some(raw as i128),
        T::I8 => Some(raw as i8 as i128),
        T::I16 => Some(raw as i16 as i128),
        T::I32 => Some(raw as i32 as i128),
        T::I64 => Some(raw as i64 as i128),
        _ => None,
    }
}

fn float(map: &[u8], value: Value) -> Option<f64> {
    let raw = u64::from_le_bytes(scalar(map, value)?);
    match value.ty {
        T::F32 => Some(f32::from_bits(raw as u32) as f64),
        T::F64 => Some(f64::from_bits(raw)),
        _ => None,
    }
}

fn refused(value: Value, wanted: &str) -> String {
    format!("is of type {}, {wanted} is needed", value.ty.name())
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl<'a> FromValue<'a> for $t {
            fn from_value(map: &'a [u8], value: Value) -> Result<Self, String> {
                let found = integer(map, value).ok_or_else(|| refused(value, "an integer"))?;
                <$t>::try_from(found).map_err(|_| format!("{found} does not fit into {}", stringify!($t)))
            }
        }
    )*};
}
integers!(u32, i32, u64, i64, usize);

impl<'a> FromValue<'a> for f32 {
    fn from_value(map: &'a [u8], value: Value) -> Result<Self, String> {
        let found = float(map, value).ok_or_else(|| refused(value, "a float"))? as f32;
        if found.is_finite() {
            Ok(found)
        } else {
            Err(format!("{found} is not a finite f32"))
        }
    }
}

impl<'a> FromValue<'a> for bool {
    fn from_value(map: &'a [u8], value: Value) -> Result<Self, String> {
        match value.ty {
            T::Bool => Ok(map[value.at] == 1),
            _ => Err(refused(value, "a bool")),
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(map: &'a [u8], value: Value) -> Result<Self, String> {
        match value.ty {
            T::String => Reader::starting_at(map, value.at).string("a string"),
            _ => Err(refused(value, "a string")),
        }
    }
}

impl<'a, I: FromValue<'a>> FromValue<'a> for Vec<I> {
    fn from_value(map: &'a [u8], value: Value) -> Result<Self, String> {
        if value.ty != T::Array {
            return Err(refused(value, "an array"));
        }
        let mut reader = Reader::starting_at(map, value.at);
        let (ty, n) = array_head(&mut reader, "an array")?;
        let mut items = Vec::with_capacity(n);
        for i in 0..n {
            let item = Value { ty, at: reader.at() };
            items.push(I::from_value(map, item).map_err(|why| format!("item {i} {why}"))?);
            skip(&mut reader, ty, "an array", 0)?;
        }
        Ok(items)
    }
}

/// For `inspect`: scalars and short arrays in full, a longer array by type and length.
pub(super) fn json(map: &[u8], value: Value, longest: usize) -> serde_json::Value {
    if let Some(found) = integer(map, value) {
        return i64::try_from(found)
            .map(Into::into)
            .unwrap_or_else(|_| (found as u64).into());
    }
    if let Some(found) = float(map, value) {
        // JSON has no infinity: the text stays readable
        return serde_json::Number::from_f64(found).map_or_else(|| found.to_string().into(), Into::into);
    }
    if let Ok(found) = bool::from_value(map, value) {
        return found.into();
    }
    if let Ok(found) = <&str>::from_value(map, value) {
        return found.into();
    }
    let mut reader = Reader::starting_at(map, value.at);
    let Ok((ty, n)) = array_head(&mut reader, "an array") else {
        return serde_json::Value::Null;
    };
    if n > longest {
        return serde_json::json!({ "array": ty.name(), "len": n });
    }
    let item = |_| {
        let value = Value { ty, at: reader.at() };
        skip(&mut reader, ty, "an array", 0)
            .ok()
            .map(|()| json(map, value, longest))
    };
    (0..n).map_while(item).collect()
}
