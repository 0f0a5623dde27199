// Where the values of a statement are laid out in PostgreSQL's binary format, one after another in one buffer, in the caller's
// own task, so that the connection's thread has only to hand the bytes on.

/// Collects the binary form of one statement's binds. Integers are big-endian, as everywhere in PostgreSQL's protocol.
public struct BindWriter: Sendable {
    /// A finished bind.
    struct Bind: Sendable {
        var type: UInt32
        /// In bytes; -1 is NULL.
        var length: Int32
        /// Where its `$` stands in the SQL text, in UTF-8, so that joining two statements can renumber without reading them.
        var placeholder: Int
    }

    private(set) var bytes: [UInt8] = []
    private(set) var binds: [Bind] = []
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

    mutating func add<Value: Bindable>(_ value: Value, placeholder: Int) {
        let start = bytes.count
        let isNull = !value.bind(into: &self)
        let length = bytes.count - start
        if length > Self.bytesPerBindMax { refuse("a value is longer than PostgreSQL's limit of 1 GB") }
        binds.append(Bind(type: Value.postgresType.oid, length: isNull ? -1 : Int32(clamping: length), placeholder: placeholder))
        refuseTooMany()
    }

    /// Takes over the binds of another statement. `placeholders` are where they stand now.
    mutating func add(contentsOf other: BindWriter, placeholders: [Int]) {
        bytes += other.bytes
        for (var bind, placeholder) in zip(other.binds, placeholders) {
            bind.placeholder = placeholder
            binds.append(bind)
        }
        if let problem = other.problem { refuse(problem) }
        refuseTooMany()
    }

    private mutating func refuseTooMany() {
        if binds.count > Self.bindsMax { refuse("more than \(Self.bindsMax) binds; send an array and unnest it") }
    }

    /// The protocol counts binds in 16 bits.
    static let bindsMax = 65_535
    /// PostgreSQL's own limit of a field (1 GB less a header).
    static let bytesPerBindMax = 1_073_741_000
}
