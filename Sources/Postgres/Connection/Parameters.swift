// The arrays in which libpq wants a statement's binds, kept from one statement to the next.

/// Confined to the socket thread, as a part of a connection.
struct Parameters {
    private var values: [UnsafePointer<CChar>?] = []
    private var lengths: [Int32] = []
    private var formats: [Int32] = []

    /// Calls `body` with one pointer, length and format for each bind. The pointers lead into the one buffer that the caller's task filled.
    mutating func withValues(
        of binds: BindWriter,
        _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> Int32
    ) -> Int32 {
        values.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
        while formats.count < binds.binds.count { formats.append(Self.binaryFormat) }
        return binds.bytes.withUnsafeBytes { buffer in
            // A value without bytes has nothing to point at, but a null pointer would mean NULL.
            var next = buffer.baseAddress ?? emptyValue
            for bind in binds.binds {
                values.append(bind.length < 0 ? nil : next.assumingMemoryBound(to: CChar.self))
                lengths.append(bind.length)
                next += Int(max(0, bind.length))
            }
            return values.withUnsafeBufferPointer { values in
                lengths.withUnsafeBufferPointer { lengths in
                    formats.withUnsafeBufferPointer { body(values.baseAddress, lengths.baseAddress, $0.baseAddress) }
                }
            }
        }
    }

    /// Calls `body` with the number of binds and their types, as Parse wants them. (Parse is rare: its array is not kept.)
    func withTypes(of binds: BindWriter, _ body: (Int32, UnsafePointer<UInt32>?) -> Int32) -> Int32 {
        body(Int32(binds.binds.count), binds.binds.map(\.type))
    }

    private static let binaryFormat: Int32 = 1
}

/// An address that is not null; nobody reads from it.
private nonisolated(unsafe) let emptyValue = UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1))
