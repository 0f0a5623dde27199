// The one written form of a UUID, in and out. Foundation's own goes through C's formatted input and output, which was a fortieth of
// an exchange read, and takes and writes other cases.
public import Foundation

extension UUID {
    /// Reads the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` (RFC 9562 §4), hexadecimal in either case; nil for anything else.
    public init?(text: some StringProtocol) {
        let characters = text.utf8
        guard characters.count == UUID.textBytes else { return nil }
        var bytes: uuid_t = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        let filled = withUnsafeMutableBytes(of: &bytes) { buffer -> Bool in
            var nibbles = 0
            for (position, character) in characters.enumerated() {
                if UUID.isHyphen(position) {
                    guard character == UInt8(ascii: "-") else { return false }
                    continue
                }
                guard let digit = hexadecimalDigit(character) else { return false }
                buffer[nibbles / 2] = buffer[nibbles / 2] << 4 | digit
                nibbles += 1
            }
            return true
        }
        guard filled else { return nil }
        self.init(uuid: bytes)
    }

    /// The same form, in lower case.
    public var text: String {
        withUnsafeBytes(of: uuid) { bytes in
            String(unsafeUninitializedCapacity: UUID.textBytes) { buffer in
                var nibbles = 0
                for position in 0..<UUID.textBytes {
                    if UUID.isHyphen(position) {
                        buffer[position] = UInt8(ascii: "-")
                        continue
                    }
                    let byte = bytes[nibbles / 2]
                    let digit = nibbles.isMultiple(of: 2) ? byte >> 4 : byte & 0xF
                    buffer[position] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                    nibbles += 1
                }
                return UUID.textBytes
            }
        }
    }

    private static let textBytes = 36

    private static func isHyphen(_ position: Int) -> Bool {
        position == 8 || position == 13 || position == 18 || position == 23
    }
}

private func hexadecimalDigit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
}
