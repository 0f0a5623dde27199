// Where codes may go: the pure rules of redirect addresses, scope and PKCE.
import Testing

@testable import OpenID

@Suite("Redirect addresses")
struct RedirectAddressTests {
    @Test("A loopback address stands for any port of exactly itself")
    func loopback() throws {
        let address = try #require(RedirectAddress(registered: "http://127.0.0.1/callback"))
        for good in ["http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:49152/callback", "http://127.0.0.1:65535/callback"] {
            #expect(address.matches(good), "\(good)")
        }
        for bad in [
            "http://127.0.0.1:0/callback", "http://127.0.0.1:65536/callback", "http://127.0.0.1:99999/callback", "http://127.0.0.1:080/callback",
            "http://127.0.0.1:/callback", "http://127.0.0.1:+80/callback", "http://127.0.0.1:8O/callback", "http://127.0.0.1:80/Callback",
            "http://127.0.0.1:80/callback/", "http://127.0.0.1:80//callback", "http://127.0.0.1:80/callback?x=1", "http://127.0.0.1:80/callback?",
            "http://127.0.0.1:80/callback#x", "http://127.0.0.1:80/callback#", "http://127.0.0.1:80/%63allback", "http://127.0.0.1:80/x/../callback",
            "http://127.0.0.1:80/./callback", "http://127.0.0.1:80%2Fcallback", "http://127.0.0.1:80/callback%00", "http://127.0.0.1:80/callback ",
            " http://127.0.0.1:80/callback", "http://127.0.0.1:80\\callback", "http://127.0.0.1:80;/callback", "http://127.0.0.1:80/callback;x",
            "HTTP://127.0.0.1:80/callback", "https://127.0.0.1:80/callback", "//127.0.0.1:80/callback", "http:/127.0.0.1:80/callback",
            "http://localhost:80/callback", "http://LOCALHOST/callback", "http://[::1]:80/callback", "http://127.1:80/callback",
            "http://127.0.0.2:80/callback", "http://0.0.0.0:80/callback", "http://2130706433:80/callback", "http://127.0.0.1.evil.example:80/callback",
            "http://127.0.0.1@evil.example/callback", "http://127.0.0.1:80@evil.example/callback", "http://user@127.0.0.1:80/callback",
            "http://user:pass@127.0.0.1/callback", "http://evil.example/callback", "javascript:alert(1)", "data:text/html,x", "",
            "http://127.0.0.1:80/callback\r\nSet-Cookie: x=1", "http://127.0.0.1:٨٠/callback", "http://127.0.0.1:80/callbac\u{212A}",
        ] {
            #expect(!address.matches(bad), "\(bad)")
        }
    }

    @Test("Any other address is taken as the text that was registered, and as nothing else")
    func exact() throws {
        let address = try #require(RedirectAddress(registered: "https://app.example/back?from=city"))
        #expect(address.matches("https://app.example/back?from=city"))
        for bad in [
            "https://app.example:443/back?from=city", "https://APP.example/back?from=city", "https://app.example/back", "http://app.example/back?from=city",
            "https://app.example/back?from=city&x=1", "https://app.example/back?from=city#", "https://app.example.evil.example/back?from=city",
            "https://app.example@evil.example/back?from=city",
        ] {
            #expect(!address.matches(bad), "\(bad)")
        }
    }

    @Test("Addresses that could be read in two ways are not registered")
    func registration() {
        for bad in [
            "", "http://app.example/back", "http://localhost/callback", "http://127.0.0.1", "http://127.0.0.1:8000/callback", "https://app.example",
            "https:///back", "https://user@app.example/back", "https://app.example/back#x", "https://app.example/b ack", "https://app.example/\\back",
            "https://app.example/a;b", "https://app.example/\"", "https://app.éxample/back", "app.example:/callback", "javascript:alert(1)",
            "https://app.example/" + String(repeating: "a", count: 2_000),
        ] {
            #expect(RedirectAddress(registered: bad) == nil, "\(bad)")
        }
    }

    @Test("The answer joins the query that is there, and no value can add a parameter or a header")
    func answers() {
        let answer = RedirectAddress.adding([("code", "a_b-c"), ("state", "x&code=evil#é\r\n=")], to: "https://app.example/back?from=city")
        #expect(answer == "https://app.example/back?from=city&code=a_b-c&state=x%26code%3Devil%23%C3%A9%0D%0A%3D")
        #expect(RedirectAddress.adding([("error", "access_denied")], to: "http://127.0.0.1:1/callback") == "http://127.0.0.1:1/callback?error=access_denied")
    }

    @Test("A page may lead to the origin of the address, whatever its port on this device")
    func formAction() {
        #expect(RedirectAddress.formActionSource(of: "http://127.0.0.1:51004/callback") == "http://127.0.0.1:*")
        #expect(RedirectAddress.formActionSource(of: "https://app.example:8443/back?x=/y") == "https://app.example:8443")
    }
}

@Suite("Scope and PKCE")
struct ScopeTests {
    private let registered = ["profile", "consents", "bills"]

    @Test("Omitted means everything registered; a part is given in the registered order; more is refused")
    func granted() throws {
        #expect(try ScopeRules.granted(requested: nil, registered: registered) == registered)
        #expect(try ScopeRules.granted(requested: " ", registered: registered) == registered)
        #expect(try ScopeRules.granted(requested: "bills profile bills", registered: registered) == ["profile", "bills"])
        for more in ["payments", "profile payments", "Profile", "profile,bills", "profile\tbills", "exchange.read"] {
            #expect(throws: OAuthError.self, "\(more)") { try ScopeRules.granted(requested: more, registered: registered) }
        }
    }

    @Test("The example of RFC 7636, appendix B")
    func pkce() {
        #expect(PKCE.challenge(of: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
        #expect(PKCE.isChallenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"))
        // The last character has two bits that no 32 bytes can set.
        for bad in ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"] {
            #expect(!PKCE.isChallenge(bad), "\(bad)")
        }
        #expect(PKCE.isVerifier(String(repeating: "a", count: 43)) && PKCE.isVerifier(String(repeating: "~", count: 128)))
        for bad in [String(repeating: "a", count: 42), String(repeating: "a", count: 129), String(repeating: "+", count: 43)] {
            #expect(!PKCE.isVerifier(bad))
        }
    }

    @Test("A budget lets through what it says, fills again, and keeps clients apart")
    func budget() {
        let budget = RequestBudget(requestsMax: 3, requestsPerSecond: 2)
        let start = ContinuousClock.now
        #expect((0..<5).map { _ in budget.take("app", at: start) } == [true, true, true, false, false])
        #expect(budget.take("other", at: start))
        #expect((0..<3).map { _ in budget.take("app", at: start + .seconds(1)) } == [true, true, false])
        #expect((0..<5).map { _ in budget.take("app", at: start + .seconds(100)) }.filter(\.self).count == 3)
    }

    @Test("What clients read stays within the characters of RFC 6749")
    func descriptions() {
        #expect(OAuthError.printable("a \"quoted\" \\ é\n") == "a 'quoted' ' '''")
    }
}
