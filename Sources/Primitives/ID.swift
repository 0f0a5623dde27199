// The names of rows. Made here rather than in the database, so that a caller knows the id of what it asks for before the
// answer comes and can ask again without doing it twice.
public import Foundation
import Synchronization

/// A UUID of version 7 (RFC 9562 §5.7) that remembers in its type what it names, so that a bill's id is not taken for a resident's.
///
/// Written as 36 characters in lower case; read in either case but in no other form.
public struct ID<Tag>: Hashable, Sendable, Comparable, Codable, CustomStringConvertible, LosslessStringConvertible {
    public let uuid: UUID

    /// Takes any UUID as it is, of whatever version: rows that came from elsewhere keep their ids.
    public init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Reads the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, hexadecimal in either case; nil for anything else.
    public init?(_ description: String) {
        guard let uuid = UUID(text: description) else { return nil }
        self.uuid = uuid
    }

    /// A fresh id: greater than every one that this process made before, also within a millisecond and after the clock stepped back.
    public static func new() -> ID {
        ID(monotonicUUIDs.next(at: Date()))
    }

    public var description: String { uuid.text }

    /// The order of the bytes, which for version 7 is the order of time.
    public static func < (left: ID, right: ID) -> Bool { left.uuid < right.uuid }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let uuid = UUID(text: text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a UUID of 36 characters")
        }
        self.uuid = uuid
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A UUID of version 7 for a given moment: 48 bits of milliseconds, 12 of their fraction, 62 random bits.
///
/// Leaves the process's own sequence alone, so that a date far ahead does not drag later ids with it.
/// - Parameter moment: clamped to what 48 bits of milliseconds since 1970 can hold (until the year 10889).
public func uuidV7(at moment: Date) -> UUID {
    uuidV7(ticks: ticks(at: moment))
}

/// Parts of a millisecond in the 12 bits after the timestamp (RFC 9562 §6.2, method 3).
private let ticksPerMillisecond = 4096.0

private func ticks(at moment: Date) -> UInt64 {
    let exact = moment.timeIntervalSince1970 * 1000 * ticksPerMillisecond
    return UInt64(min(max(exact, 0), 0x0FFF_FFFF_FFFF_F000))
}

private func uuidV7(ticks: UInt64) -> UUID {
    let high = (ticks >> 12) << 16 | 0x7000 | (ticks & 0xFFF)
    let low = 0x8000_0000_0000_0000 | (UInt64.random(in: .min ... .max) >> 2)
    var bytes = nilUUIDBytes
    withUnsafeMutableBytes(of: &bytes) { buffer in
        buffer.storeBytes(of: high.bigEndian, as: UInt64.self)
        buffer.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
    return UUID(uuid: bytes)
}

private let nilUUIDBytes: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/// Hands out rising timestamps: when the clock shows nothing newer, the last one plus one tick (a quarter of a microsecond).
final class MonotonicUUIDs: Sendable {
    private let last = Mutex<UInt64>(0)

    func next(at moment: Date) -> UUID {
        let present = ticks(at: moment)
        let chosen = last.withLock { last in
            last = max(present, last + 1)
            return last
        }
        return uuidV7(ticks: chosen)
    }
}

private let monotonicUUIDs = MonotonicUUIDs()
