// Which addresses a site may have, and what its cookies look like because of it.
import HTTPTypes
import Primitives
import Testing

@testable import Web

@Suite struct BaseURLTests {
    @Test(arguments: [
        "http://city.example", "http://192.168.1.5:8080", "http://127.0.0.1.evil.example", "http://localhost.evil.example",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]", "ftp://city.example", "city.example", "", "https://", "https://city.example/stoa",
        "https://city.example?x", "https://user@city.example", "https://city.example#x", "http://127.256.0.1",
    ])
    func addressesThatWouldLeakASessionAreRefused(text: String) {
        #expect(throws: BaseURL.Refusal.self) { try BaseURL(text) }
    }

    @Test(arguments: [
        ("https://city.example", true), ("https://City.Example:8443/", true), ("http://localhost:8080", false), ("http://127.0.0.1", false),
        ("http://127.1.2.3:9", false), ("http://[::1]:8080", false),
    ])
    func httpsAnywhereAndHTTPOnThisMachine(text: String, isSecure: Bool) throws {
        let address = try BaseURL(text)
        #expect(address.isSecure == isSecure)
        #expect(!address.origin.hasSuffix("/"))
    }

    @Test func cookiesOfAnHTTPSSiteAreBoundToItsHost() throws {
        let names = CookieNames(baseURL: try BaseURL("https://city.example"))
        #expect(names.session == "__Host-stoa_session")
        #expect(names.csrf == "__Host-stoa_csrf")
        #expect(names.setCookie(names.session, "t") == "__Host-stoa_session=t; Path=/; HttpOnly; SameSite=Lax; Secure")
        #expect(names.clearCookie(names.csrf) == "__Host-stoa_csrf=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0")
    }

    @Test func cookiesOfALoopbackSiteLackWhatClientsWouldRefuse() throws {
        let names = CookieNames(baseURL: try BaseURL("http://localhost:8080"))
        #expect(names.session == "stoa_session")
        #expect(names.setCookie(names.session, "t", maxAgeSeconds: 5) == "stoa_session=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=5")
    }

    @Test func aPlantedSecondCookieMakesBothWorthless() {
        var fields = HTTPFields()
        fields[.cookie] = "a=1; stoa_session=x; b=2"
        #expect(fields.cookie("stoa_session") == "x")
        #expect(fields.cookie("session") == nil)
        fields[.cookie] = "stoa_session=x; stoa_session=y"
        #expect(fields.cookie("stoa_session") == nil)
    }
}

@Suite struct CSRFTests {
    private let secret = Base64URL.randomBytes()

    @Test func aTokenServesItsOwnSecretAndSessionOnly() {
        let token = CSRF.token(secret: secret, sessionToken: "s")
        #expect(CSRF.isValid(token, secret: secret, sessionToken: "s"))
        #expect(!CSRF.isValid(token, secret: secret, sessionToken: nil))
        #expect(!CSRF.isValid(token, secret: secret, sessionToken: "t"))
        #expect(!CSRF.isValid(token, secret: Base64URL.randomBytes(), sessionToken: "s"))
        #expect(CSRF.isValid(CSRF.token(secret: secret, sessionToken: nil), secret: secret, sessionToken: nil))
        for bad in ["", "x", String(token.dropLast()), token + "A", token.lowercased()] {
            #expect(!CSRF.isValid(bad, secret: secret, sessionToken: "s"))
        }
    }

    @Test func everyChangedByteIsNoticed() throws {
        let bytes = try #require(Base64URL.decode(CSRF.token(secret: secret, sessionToken: "s")))
        for position in bytes.indices {
            var changed = bytes
            changed[position] ^= 1
            #expect(!CSRF.isValid(Base64URL.encode(changed), secret: secret, sessionToken: "s"))
        }
    }

    @Test func base64URLHasOneFormOnly() {
        for count in 0..<70 {
            let bytes = Base64URL.randomBytes(count: count)
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        for bad in ["A", "AB=", "AB==", "A+", "A/", "AB ", "AB", "AAB", "é"] {
            #expect(Base64URL.decode(bad) == nil)
        }
        // "AQ" is the byte 1; "AR" would be the same byte with a stray bit.
        #expect(Base64URL.decode("AQ") == [1])
        #expect(Base64URL.decode("AR") == nil)
    }
}
