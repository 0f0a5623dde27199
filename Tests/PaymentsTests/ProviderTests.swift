// Card and mobile money: to the provider and back, whatever its events do on the way. Refusals first.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Crypto
import Ledger
import NIOCore
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Payments through providers")
struct ProviderTests {
    @Test("HMAC-SHA-256 in the database is that of RFC 4231", arguments: [
        (String(repeating: "0b", count: 20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        ("4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            String(repeating: "aa", count: 131),
            "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
    ])
    func hmac(key: String, message: String, expected: String) async throws {
        let shop = try await shared.value
        let found = try await shop.home.city.owner.one(
            OneValue("SELECT encode(payments.hmac_sha256(decode(\(key), 'hex'), decode(\(message), 'hex')), 'hex')", of: String.self))
        #expect(found == expected)
    }

    @Test("The fee is rounded half up, exactly", arguments: [(0, 0, 4_250, 0), (25, 0, 4_250, 25), (25, 150, 4_250, 89), (0, 150, 33, 0), (0, 150, 34, 1), (0, 1, 4_999, 0), (0, 1, 5_000, 1)])
    func fees(fixed: Int64, per10000: Int64, amount: Int64, expected: Int64) async throws {
        let shop = try await shared.value
        #expect(try await shop.home.city.owner.one(OneValue("SELECT payments.fee_of(\(fixed), \(Int32(per10000)), \(amount))", of: Int64.self)) == expected)
    }

    @Test("An event that is not signed by its provider, not of this moment, or of another form is refused and leaves nothing")
    func refusals() async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        let body = shop.event(attempt, "settled")
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            #expect(try await shop.tell(client, body, secret: [UInt8](repeating: 8, count: 32)).problem == "event-signature-invalid")
            #expect(try await shop.tell(client, body, provider: "nobody").problem == "event-signature-invalid")
            #expect(try await shop.tell(client, body, header: "t=1,v1=00").problem == "event-signature-invalid")
            #expect(try await shop.tell(client, body, secondsAgo: 400).problem == "event-signature-old")
            #expect(try await shop.tell(client, body, secondsAgo: -400).problem == "event-signature-old")
            // The signature is that of another body.
            #expect(try await shop.tell(client, body, signed: body.replacing("settled", with: "pending")).problem == "event-signature-invalid")
            for wrong in ["", "[]", "{}", body.replacing("settled", with: "paid"), body.dropLast() + #","more":1}"#, body.replacing("\"amount\":", with: "\"amount\":1,\"amount\":")] {
                #expect(try await shop.tell(client, String(wrong)).status == 400, "\(wrong)")
            }
            #expect(try await shop.tell(client, shop.event(UUID(), "settled")).status == 404)
        }
        #expect(try await shop.home.count("payments.provider_event") == 0)
        #expect(try await shop.home.paymentCount() == 0)
        try await shop.expectSound()
    }

    @Test("Settled, however often and at once: one payment, its fee apart, a receipt, a message")
    func settledOnce() async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        #expect(try await shop.holds() == 1)
        let body = shop.event(attempt, "settled")
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            let answers = try await inParallel(8) { _ in try await shop.tell(client, body) }
            #expect(answers.allSatisfy { $0.status == 200 && $0.json["outcome"] == "taken" })
            // The same news under another id changes nothing; another body under the same id is refused.
            #expect(try await shop.tell(client, shop.event(attempt, "settled")).json["outcome"] == "stale")
            #expect(try await shop.tell(client, body.replacing("settled", with: "failed")).problem == "event-conflict")
            for late in ["pending", "failed"] { #expect(try await shop.tell(client, shop.event(attempt, late)).json["outcome"] == "stale") }
            let browser = CityBrowser(client, session: shop.home.ada.session)
            let page = try await browser.get("/bills/\(shop.bill)/attempts/\(attempt.uuidString.lowercased())").text
            #expect(page.contains("Paid") && page.contains("/bills/\(shop.bill)/receipt"))
            let receipt = try await browser.get("/bills/\(shop.bill)/receipt").text
            #expect(receipt.contains("€43.39") && receipt.contains("€0.89") && receipt.contains("€42.50") && receipt.contains("Card"))
        }
        #expect(try await shop.home.outstanding(of: shop.bill) == 0)
        #expect(try await shop.balances() == Balances(clearing: 4_339, fees: 89, revenue: 4_250))
        #expect(try await shop.holds() == 0)
        #expect(try await shop.home.messageCount(shop.home.ada) == 1)
        try await shop.expectSound()
    }

    @Test("What fails half-way releases its hold and lets somebody try again; if it turns out paid after all, it counts")
    func failure() async throws {
        let shop = try await Shop()
        let first = try await shop.begin()
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            #expect(try await shop.begin(expecting: "open") == first)
            #expect(try await shop.tell(client, shop.event(first, "pending")).json["outcome"] == "taken")
            #expect(try await shop.tell(client, shop.event(first, "failed")).json["outcome"] == "taken")
            #expect(try await shop.holds() == 0)
            #expect(try await shop.home.outstanding(of: shop.bill) == 4_250)
            let second = try await shop.begin()
            #expect(second != first)
            #expect(try await shop.tell(client, shop.event(second, "settled")).json["outcome"] == "taken")
            // Late, and paid twice: the second time is the resident's.
            #expect(try await shop.tell(client, shop.event(first, "settled")).json["outcome"] == "taken")
        }
        #expect(try await shop.home.outstanding(of: shop.bill) == 0)
        #expect(try await shop.home.balance(shop.home.ada) == 4_250)
        #expect(try await shop.home.paymentCount() == 1)
        #expect(try await shop.balances() == Balances(clearing: 8_678, fees: 178, revenue: 4_250))
        try await shop.expectSound()
    }

    @Test("An attempt that nobody finishes expires by itself; money that comes later counts")
    func expiry() async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        try await shop.home.city.setClock(secondsAhead: 31 * 60)
        #expect(try await shop.state(attempt) == "expired")
        // The session of half an hour ago is idle by now.
        let session = try await shop.home.city.session(of: shop.home.ada.accountID)
        #expect(try await shop.begin(with: session, expecting: "begun") != attempt)
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            #expect(try await shop.tell(client, shop.event(attempt, "settled"), secondsAgo: -31 * 60).json["outcome"] == "taken")
        }
        #expect(try await shop.state(attempt) == "settled")
        #expect(try await shop.home.outstanding(of: shop.bill) == 0)
        try await shop.expectSound()
    }

    @Test("Another amount or currency books nothing and stays for a person to look into")
    func amountDiffers() async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            for wrong in [shop.event(attempt, "settled", amount: 4_338), shop.event(attempt, "settled", amount: 1), shop.event(attempt, "settled", currency: "USD")] {
                #expect(try await shop.tell(client, wrong).problem == "event-amount-differs")
                #expect(try await shop.tell(client, wrong).problem == "event-amount-differs")
            }
        }
        #expect(try await shop.home.paymentCount() == 0)
        #expect(try await shop.home.count("payments.provider_event WHERE outcome = 'amount_differs'") == 3)
        try await shop.expectSound()
    }

    @Test("Refunds of the provider, in parts and at once, never exceed the payment; the bill is open again by as much")
    func refunds() async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            #expect(try await shop.tell(client, shop.event(attempt, "refunded", amount: 1_000)).problem == "event-too-early")
            _ = try await shop.tell(client, shop.event(attempt, "settled"))
            let answers = try await inParallel(6) { _ in try await shop.tell(client, shop.event(attempt, "refunded", amount: 1_000)) }
            #expect(answers.filter { $0.json["outcome"] == "taken" }.count == 4 && answers.filter { $0.problem == "event-refund-too-high" }.count == 2)
            #expect(try await shop.tell(client, shop.event(attempt, "refunded", amount: 250)).json["outcome"] == "taken")
            #expect(try await shop.balances() == Balances(clearing: 89, fees: 89, revenue: 0))
            // What the person paid has the fee in it.
            #expect(try await shop.tell(client, shop.event(attempt, "refunded", amount: 89)).json["outcome"] == "taken")
            #expect(try await shop.tell(client, shop.event(attempt, "refunded", amount: 1)).problem == "event-refund-too-high")
        }
        #expect(try await shop.home.outstanding(of: shop.bill) == 4_250)
        #expect(try await shop.balances() == Balances(clearing: 0, fees: 0, revenue: 0))
        let error = await #expect(throws: DatabaseError.self) {
            try await shop.home.city.owner.execute(
                "INSERT INTO payments.refund (id, payment_id, amount) SELECT t.id, p.id, 1 FROM payments.payment AS p CROSS JOIN (SELECT id FROM ledger.transfer LIMIT 1) AS t")
        }
        #expect(error?.constraint == "refund_within_payment")
        try await shop.expectSound()
    }

    @Test("A card payment of a bill that is paid already goes to the wallet, and comes out of it when it is charged back; what is not there any more is booked all the same", arguments: [4_250, 0] as [Int64])
    func chargebackOfSurplus(left: Int64) async throws {
        let shop = try await Shop(wallet: 4_250)
        let attempt = try await shop.begin()
        _ = try await PayBill(database: shop.home.city.app).perform(shop.bill, by: shop.home.ada.session.hash, key: nil, language: .english)
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            #expect(try await shop.tell(client, shop.event(attempt, "settled")).json["outcome"] == "taken")
            #expect(try await shop.home.balance(shop.home.ada) == 4_250)
            if left == 0 {
                let another = try await shop.home.bill(shop.home.ada, "B-2")
                _ = try await PayBill(database: shop.home.city.app).perform(another, by: shop.home.ada.session.hash, key: nil, language: .english)
            }
            #expect(try await shop.tell(client, shop.event(attempt, "refunded", amount: 4_339)).json["outcome"] == "taken")
            #expect(try await shop.home.balance(shop.home.ada) == 0)
        }
        #expect(try await shop.balances() == Balances(clearing: 0, fees: 0, revenue: left == 0 ? 8_500 : 4_250))
        #expect(try await shop.home.city.owner.one(OneValue("SELECT coalesce(sum(posted), 0)::bigint FROM ledger.account WHERE kind = 'suspense' AND normal_side = 'debit'", of: Int64.self)) == 4_250 - left)
        try await shop.expectSound()
    }

    @Test("What the provider pays out is found on the bank's statement, told before or after, and clears what it owes", arguments: [true, false])
    func settlement(toldFirst: Bool) async throws {
        let shop = try await Shop()
        let attempt = try await shop.begin()
        let body = #"{"id":"\#(UUID().uuidString)","type":"settlement","reference":"ACME-2026-0001","currency":"EUR","gross":4339,"charges":60}"#
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            _ = try await shop.tell(client, shop.event(attempt, "settled"))
            if toldFirst { #expect(try await shop.tell(client, body).json["outcome"] == "taken") }
            try await shop.home.take(Household.notification([Told(amount: "42.79", text: "Acme ACME-2026-0001 payout"), Told(amount: "1.00", text: "ACME-2026-0001")]))
            if !toldFirst { #expect(try await shop.tell(client, body).json["outcome"] == "taken") }
            #expect(try await shop.tell(client, body.replacing(/"id":"[^"]+"/, with: "\"id\":\"other\"")).json["outcome"] == "stale")
        }
        #expect(try await shop.balances() == Balances(clearing: 0, fees: 29, revenue: 4_250))
        #expect(try await shop.home.ledgerBalances() == (4_379, 100))
        #expect(try await shop.home.count("payments.bank_item_waiting") == 1)
        try await shop.expectSound()
    }

    @Test("The way there: every way with its fee, the fee again before agreeing, and a signed address; whose bill it is not gets nothing")
    func pages() async throws {
        let shop = try await Shop()
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            let browser = CityBrowser(client, session: shop.home.ada.session)
            let ways = try await browser.get("/bills/\(shop.bill)/ways").text
            #expect(ways.contains("Acme Pay") && ways.contains("€0.89") && ways.contains("€43.39") && ways.contains("€0.00") && ways.contains("Cash at a counter"))
            let confirm = try await browser.get("/bills/\(shop.bill)/ways/acme")
            #expect(confirm.text.contains("€0.89") && confirm.headers[.contentSecurityPolicy]?.contains("https://pay.acme.example") == true)
            let fields = [("id", UUID().uuidString.lowercased()), ("fee", "89")]
            #expect(try await browser.post("/bills/\(shop.bill)/ways/acme", [("fee", "88")]).status == 409)
            let gone = try await browser.post("/bills/\(shop.bill)/ways/acme", fields)
            let address = try #require(gone.headers[.location])
            #expect(gone.status == 303 && address.hasPrefix("https://pay.acme.example/checkout?payment=\(fields[0].1)&amount=4339&currency=EUR&reference=PV-1&expires="))
            let parts = address.dropFirst("https://pay.acme.example/checkout?".count).split(separator: "&signature=")
            #expect(parts.count == 2 && Shop.signature(Array(parts[0].utf8), Shop.secret) == parts[1])
            // The form sent twice leads to the same attempt.
            #expect(try await browser.post("/bills/\(shop.bill)/ways/acme", fields).headers[.location] == "/bills/\(shop.bill)/attempts/\(fields[0].1)")
            #expect(try await browser.get("/bills/\(shop.bill)/attempts/\(fields[0].1)").text.contains("Not paid yet"))
            let eve = CityBrowser(client, session: shop.home.eve.session)
            for path in ["/bills/\(shop.bill)/ways", "/bills/\(shop.bill)/ways/acme", "/bills/\(shop.bill)/attempts/\(fields[0].1)"] { #expect(try await eve.get(path).status == 404) }
            #expect(try await shop.begin(with: shop.home.eve.session, expecting: "bill_unknown") == nil)
        }
    }

    @Test("One line of time a payment: begun, on its way, given up, paid from the wallet; in three languages, and nobody else's", arguments: ["en", "fr", "ar"])
    func timeline(language: String) async throws {
        let shop = try await Shop(wallet: 10_000)
        let attempt = try await shop.begin()
        try await shop.serve { (shop: Shop, client: any TestClientProtocol) async throws -> Void in
            _ = try await shop.tell(client, shop.event(attempt, "pending"))
            _ = try await shop.tell(client, shop.event(attempt, "failed"))
            _ = try await PayBill(database: shop.home.city.app).perform(shop.bill, by: shop.home.ada.session.hash, key: nil, language: .english)
            let found = try await shop.home.city.app.query(TimelineOf(credential: shop.home.ada.session.hash, count: 10))
            #expect(found.map { $0.steps.map(\.word) } == [["settled"], ["held", "sent", "failed"]])
            #expect(found.map(\.way) == ["wallet", "card"] && found.map(\.amount.minorUnits) == [4_250, 4_339])
            #expect(try await shop.home.city.app.query(TimelineOf(credential: shop.home.eve.session.hash, count: 10)).isEmpty)
            let browser = CityBrowser(client, session: shop.home.ada.session)
            browser.acceptLanguage = language
            let page = try await browser.get("/money").text
            #expect(page.contains("id=\"timeline\"") && page.components(separatedBy: "<ol>").count == 3)
            #expect(!page.contains("payments.timeline"))
        }
    }

    @Test("The role that serves is denied", arguments: [
        "SELECT secret FROM payments.provider", "SELECT * FROM payments.attempt", "INSERT INTO payments.refund VALUES (gen_random_uuid(), gen_random_uuid(), 1)",
        "SELECT payments.settle_attempt(gen_random_uuid())", "SELECT payments.take_refund(gen_random_uuid(), '', '', 'EUR', 1)", "SELECT payments.hmac_sha256('', '')",
        "SELECT payments.match_settlements('{}')", "SELECT payments.set_provider('acme', 'card', 'x', 'EUR', 'https://x/', 0, 0, '', true)",
    ])
    func deniedToTheApp(statement: String) async throws {
        let shop = try await shared.value
        let error = await #expect(throws: DatabaseError.self) { try await shop.home.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement): \(String(describing: error))")
    }
}

private let shared = Task { try await Shop() }

private struct Balances: Equatable {
    let clearing: Int64
    let fees: Int64
    let revenue: Int64
}

/// A household with a bill of 42.50, and a provider that takes 0.25 and 1.5 %.
private struct Shop: Sendable {
    let home: Household
    let bill: BillID

    static let secret = [UInt8](repeating: 7, count: 32)

    init(wallet: Int64 = 0) async throws {
        home = try await Household.withBank(wallet: wallet)
        bill = try await home.bill(home.ada, "PV-1")
        try await ProviderAdministration(owner: home.city.owner).set(
            PaymentProvider(
                id: "acme", kind: .card, name: "Acme Pay", currency: .eur, checkout: "https://pay.acme.example/checkout", feeFixed: 25, feePer10000: 150,
                secret: Redacted(Self.secret), isOffered: true))
    }

    /// The id of the new attempt, or of the one that stands in its way; nil for other outcomes.
    @discardableResult
    func begin(with session: FixtureCredential? = nil, expecting outcome: String) async throws -> UUID? {
        let id = UUID()
        let credential = (session ?? home.ada.session).hash.bytes
        let answer = try await home.city.app.transaction {
            try await $0.one(
                OneValue("SELECT payments.begin_attempt(\(credential), \(bill), 'acme', \(id), \(PublicCode.random().description), 89, 'x')::text", of: String.self))
        }
        let value = try JSONScanner.scan(Array(answer.utf8))
        #expect(value["outcome"]?.text == outcome)
        return outcome == "begun" ? id : value["attempt"]?.text.flatMap { UUID(uuidString: $0) }
    }

    func begin() async throws -> UUID { try #require(try await begin(expecting: "begun")) }

    func event(_ attempt: UUID, _ kind: String, amount: Int64 = 4_339, currency: String = "EUR") -> String {
        #"{"id":"\#(UUID().uuidString)","type":"\#(kind)","payment":"\#(attempt.uuidString.lowercased())","currency":"\#(currency)","amount":\#(amount)}"#
    }

    static func signature(_ message: [UInt8], _ secret: [UInt8]) -> String {
        HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: secret)).map { String(format: "%02x", $0) }.joined()
    }

    /// - Parameter signed: what is signed instead of the body.
    func tell(
        _ client: any TestClientProtocol, _ body: String, provider: String = "acme", secret: [UInt8] = Shop.secret, secondsAgo: Int = 0, signed: String? = nil,
        header: String? = nil
    ) async throws -> CityAnswer {
        let at = Int(Date().timeIntervalSince1970) - secondsAgo
        let signature = Self.signature(Array("\(at).\(signed ?? body)".utf8), secret)
        let name = try #require(HTTPField.Name(EventSignature.headerName))
        return CityAnswer(
            try await client.executeRequest(
                uri: "/api/v1/payment-providers/\(provider)/events", method: .post, headers: [.contentType: "application/json", name: header ?? "t=\(at),v1=\(signature)"],
                body: ByteBuffer(string: body)))
    }

    func state(_ attempt: UUID) async throws -> String { try await home.city.owner.one(OneValue("SELECT payments.attempt_state(\(attempt))")) }

    func holds() async throws -> Int { try await home.count("ledger.open_hold") }

    func balances() async throws -> Balances {
        let posted = { (account: SQL) in try await home.city.owner.one(OneValue("SELECT posted FROM ledger.account WHERE id = \(account)", of: Int64.self)) }
        return Balances(
            clearing: try await posted("(SELECT clearing FROM payments.provider)"), fees: try await posted("(SELECT fees FROM payments.provider)"),
            revenue: try await posted("\(home.revenue)"))
    }

    func expectSound(_ location: SourceLocation = #_sourceLocation) async throws {
        #expect(try await home.count("ledger.findings(10)") == 0, sourceLocation: location)
    }

    func serve(_ body: @Sendable (Shop, any TestClientProtocol) async throws -> Void) async throws {
        let ledger = Ledger(database: home.city.app)
        try await home.city.serve({ site in
            PaymentsRoutes(database: home.city.app, ledger: ledger, zone: .gmt).add(to: site)
            ProviderRoutes(database: home.city.app, ledger: ledger, baseURL: try BaseURL("http://localhost:8080")).add(to: site)
        }) { try await body(self, $0) }
    }
}
