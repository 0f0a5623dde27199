// The codes of an authenticator app. Pure: no clock and no database; whether a code was used already, the database says (identity.use_totp).
import Crypto
import Foundation

/// Time-based one-time passwords (RFC 6238 over HOTP, RFC 4226) with what every app takes: HMAC-SHA-1, steps of 30 seconds, six digits.
struct TOTP: Sendable {
    /// RFC 6238 §5.2 recommends 30 seconds.
    static let stepSeconds: Int64 = 30
    /// RFC 4226 §5.3: at least six; more are not shown by every app.
    static let digits = 6
    /// RFC 4226 §4, R6: the length of the hash, 160 bits.
    static let secretBytes = 20
    /// Phones' clocks are not exact, and codes are typed slowly: one step before and after the present one (RFC 6238 §5.2).
    private static let driftSteps: Int64 = 1

    let secret: [UInt8]

    static func random() -> TOTP {
        var generator = SystemRandomNumberGenerator()
        return TOTP(secret: (0..<secretBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    /// The step that a moment falls in, counted from 1970.
    static func step(at moment: Date) -> Int64 { Int64((moment.timeIntervalSince1970 / Double(stepSeconds)).rounded(.down)) }

    /// The code of a step: HOTP with the step as its counter, truncated as RFC 4226 §5.3 says.
    func code(atStep step: Int64) -> String {
        let counter = withUnsafeBytes(of: step.bigEndian) { Data($0) }
        let hash = Array(HMAC<Insecure.SHA1>.authenticationCode(for: counter, using: SymmetricKey(data: secret)))
        let offset = Int(hash[hash.count - 1] & 0x0F)
        let number = hash[offset..<(offset + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7FFF_FFFF
        let text = String(number % 1_000_000)
        return String(repeating: "0", count: Self.digits - text.count) + text
    }

    /// The step whose code was typed, nil when it is none of those around the moment.
    /// - Parameter typed: digits of any script; spaces between them are ignored, as apps show `123 456`.
    func step(of typed: String, at moment: Date) -> Int64? {
        guard let code = OneTimeDigits.read(typed, count: Self.digits) else { return nil }
        let now = Self.step(at: moment)
        return ((now - Self.driftSteps)...(now + Self.driftSteps)).first { self.code(atStep: $0) == code }
    }

    // MARK: What the app takes

    /// The secret as people type it into an app: base 32 (RFC 4648 §6) without padding, in groups of four.
    var secretText: String {
        let text = Array(Base32.encode(secret))
        return stride(from: 0, to: text.count, by: 4).map { String(text[$0..<min($0 + 4, text.count)]) }.joined(separator: " ")
    }

    /// The address that puts the secret into an app: `otpauth://totp/…` (the Key URI format that all apps read).
    /// - Parameters:
    ///   - issuer: the city.
    ///   - account: how the app names the account in its list.
    func address(issuer: String, account: String) -> String {
        func escaped(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: Self.unreserved) ?? "" }
        return "otpauth://totp/\(escaped(issuer)):\(escaped(account))?secret=\(Base32.encode(secret))&issuer=\(escaped(issuer))"
    }

    /// RFC 3986 §2.3, in ASCII.
    private static let unreserved = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
}

/// Digits as they are typed into a form.
enum OneTimeDigits {
    /// Exactly so many digits as ASCII, whatever script they were typed in, without the spaces and hyphens between them; nil for anything else.
    static func read(_ typed: String, count: Int) -> String? {
        // Longer texts are no code; the bound keeps the loop short.
        guard typed.unicodeScalars.count <= 64 else { return nil }
        var digits = ""
        for character in typed where !character.isWhitespace && character != "-" {
            guard character.unicodeScalars.count == 1, let scalar = character.unicodeScalars.first, scalar.properties.numericType == .decimal,
                let value = character.wholeNumberValue
            else { return nil }
            digits.append(String(value))
        }
        return digits.count == count ? digits : nil
    }
}

/// RFC 4648 §6.
enum Base32 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

    /// Without padding, which apps do not want.
    static func encode(_ bytes: [UInt8]) -> String {
        var text = ""
        var buffer: UInt32 = 0
        var bits = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(alphabet[Int(buffer >> UInt32(bits) & 0x1F)])
            }
        }
        if bits > 0 { text.append(alphabet[Int(buffer << UInt32(5 - bits) & 0x1F)]) }
        return text
    }
}
