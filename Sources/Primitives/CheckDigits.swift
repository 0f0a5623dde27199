// The check that account numbers (ISO 13616) and creditor references (ISO 11649) share.

/// ISO 7064, MOD 97-10: it finds every single wrong character and every two neighbours that changed places.
public enum CheckDigits {
    /// Whether a text whose first four characters are a name and two check digits is sound. The four move behind the rest, letters count from 10, and
    /// the number that this makes leaves 1 when it is divided by 97. False for anything but digits and capital letters of ASCII.
    public static func areSound(_ text: some StringProtocol) -> Bool {
        let characters = Array(text.utf8)
        guard characters.count > 4 else { return false }
        var remainder = 0
        for character in characters[4...] + characters[..<4] {
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): remainder = (remainder * 10 + Int(character - UInt8(ascii: "0"))) % 97
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): remainder = (remainder * 100 + Int(character - UInt8(ascii: "A")) + 10) % 97
            default: return false
            }
        }
        return remainder == 1
    }
}
