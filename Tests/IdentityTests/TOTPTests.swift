// The codes of an authenticator app against the published values.
import Foundation
import Testing

@testable import Identity

@Suite("TOTP")
struct TOTPTests {
    private static let published = TOTP(secret: Array("12345678901234567890".utf8))

    @Test("The codes are those of RFC 6238, Appendix B (SHA-1, the last six of its eight digits)", arguments: [
        (59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"), (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ])
    func publishedCodes(seconds: Int, code: String) {
        #expect(Self.published.code(atStep: TOTP.step(at: Date(timeIntervalSince1970: TimeInterval(seconds)))) == code)
    }

    @Test("A counter gives the code of RFC 4226, Appendix D", arguments: [
        (0, "755224"), (1, "287082"), (2, "359152"), (3, "969429"), (4, "338314"),
    ])
    func counters(step: Int, code: String) {
        #expect(Self.published.code(atStep: Int64(step)) == code)
    }

    @Test("A code is taken one step early and one late, and no further")
    func drift() {
        let at = Date(timeIntervalSince1970: 3_000_015)
        for offset in Int64(-3)...3 {
            let found = Self.published.step(of: Self.published.code(atStep: 100_000 + offset), at: at)
            #expect(found == (abs(offset) <= 1 ? 100_000 + offset : nil), "\(offset)")
        }
    }

    @Test("A code may be typed with spaces and in the digits of any script, and nothing else passes", arguments: [
        ("755 224", true), (" 755-224 ", true), ("٧٥٥٢٢٤", true), ("75522", false), ("7552244", false), ("75522A", false), ("", false), ("½55224", false),
    ])
    func typing(typed: String, isCode: Bool) {
        #expect((Self.published.step(of: typed, at: Date(timeIntervalSince1970: 5)) != nil) == isCode)
    }

    @Test("The secret goes into an app as base 32 (RFC 4648, §10) and as an otpauth address that names city and account")
    func enrolment() throws {
        for (text, encoded) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI")] {
            #expect(Base32.encode(Array(text.utf8)) == encoded)
        }
        let address = Self.published.address(issuer: "Ville & Cité", account: "ABC-DEF")
        let parts = try #require(URLComponents(string: address))
        #expect(parts.scheme == "otpauth" && parts.host == "totp" && parts.path == "/Ville & Cité:ABC-DEF")
        #expect(parts.queryItems == [
            URLQueryItem(name: "secret", value: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), URLQueryItem(name: "issuer", value: "Ville & Cité"),
        ])
    }
}

@Suite("Codes on a list")
struct ListedCodesTests {
    @Test("A sheet has forty codes of eight digits, recovery codes are ten of eighty bits, and each reads back as it is printed")
    func printing() {
        for (kind, count, pattern) in [(FactorKind.codeSheet, 40, #"[0-9]{4} [0-9]{4}"#), (.recoveryCodes, 10, #"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}"#)] {
            let codes = ListedCodes.random(for: kind)
            #expect(codes.count == count && Set(codes).count == count)
            for code in codes {
                let printed = ListedCodes.printed(code, of: kind)
                #expect(printed.range(of: "^\(pattern)$", options: .regularExpression) != nil, "\(printed)")
                #expect(ListedCodes.read(printed, as: kind) == code)
            }
        }
    }

    @Test("A recovery code may be typed small, with O for 0 and I or L for 1")
    func crockford() {
        #expect(ListedCodes.read("oil1-0000 abcd-efgh", as: .recoveryCodes) == "01110000ABCDEFGH")
        #expect(ListedCodes.read("0111-0000-ABCD-EFG", as: .recoveryCodes) == nil)
        #expect(ListedCodes.read("0111-0000-ABCD-EFGU", as: .recoveryCodes) == nil)
    }
}
