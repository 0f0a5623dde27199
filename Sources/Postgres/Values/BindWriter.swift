// Where the values of a statement are laid out in PostgreSQL's binary format, one after another in one buffer, in the caller's
// own task, so that the connection's thread has only to hand the bytes on.

/// Collects the binary form of one statement's binds. Integers are big-endian, as everywhere in PostgreSQL's protocol.
public struct BindWriter: Sendable {
    private(set) var bytes: [UInt8] = []
    /// Byte length of each finished bind; -1 is NULL.
    private(set) var lengths: [Int32] = []
    private(set) var types: [UInt32] = []
    private(set) var problem: String?

    /// Remembers why this value can never be sent; the statement then throws `DatabaseError.invalidBind` instead of being queued.
    /// - Parameter reason: words for a developer. It must not contain the value.
    public mutating func refuse(_ reason: String) {
        if problem == nil { problem = reason }
    }

    public mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    public mutating func append(contentsOf more: [UInt8]) {
        bytes.append(contentsOf: more)
    }

    /// Appends UTF-8. PostgreSQL's text cannot hold NUL; found here, it fails its own caller and not a whole batch.
    public mutating func append(utf8 text: String) {
        var copy = text
        copy.withUTF8 { buffer in
            if buffer.contains(0) { refuse("text contains a NUL character, which PostgreSQL cannot store") }
            bytes.append(contentsOf: buffer)
        }
    }

    /// Appends an element of an array: its length in four bytes, then the element; NULL is the length -1 alone.
    mutating func append<Element: Bindable>(element: Element) {
        let start = bytes.count
        append(Int32(-1))
        guard element.bind(into: &self) else { return }
        let length = UInt32(truncatingIfNeeded: bytes.count - start - 4)
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(index))) }
    }

    mutating func add<Value: Bindable>(_ value: Value) {
        let start = bytes.count
        let isNull = !value.bind(into: &self)
        types.append(Value.postgresType.oid)
        lengths.append(isNull ? -1 : Int32(clamping: bytes.count - start))
        if bytes.count - start > Self.bytesPerBindMax { refuse("a value is longer than PostgreSQL's limit of 1 GB") }
        if lengths.count > Self.bindsMax { refuse("more than \(Self.bindsMax) binds; send an array and unnest it") }
    }

    mutating func add(contentsOf other: BindWriter) {
        bytes += other.bytes
        lengths += other.lengths
        types += other.types
        if let problem = other.problem { refuse(problem) }
        if lengths.count > Self.bindsMax { refuse("more than \(Self.bindsMax) binds; send an array and unnest it") }
    }

    /// The protocol counts binds in 16 bits.
    static let bindsMax = 65_535
    /// PostgreSQL's own limit of a field (1 GB less a header).
    static let bytesPerBindMax = 1_073_741_000
}
