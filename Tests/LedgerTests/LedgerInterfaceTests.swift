// The ledger as an organisation's program meets it: tokens and strangers, accounts, transfers, batches, and what is refused how.
import City
import Foundation
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

@Suite("The ledger as JSON")
struct LedgerInterfaceTests {
    @Test("Without a token, with a resident's, without the scope, or of another organisation: nothing is shown and nothing moves")
    func strangers() async throws {
        try await LedgerCaller.serve { bank, caller, client in
            let account = try await caller.open()
            let other = try await caller.open()
            try await bank.administration.post([bank.transfer(bank.funding, LedgerAccountID(account), 100)], occasion: "test")
            let rival = try await bank.city.organisation("rival", scope: ["ledger.post"]).credential
            let reader = try await bank.city.clientToken("bank", scope: ["exchange.read"])
            let resident = try await bank.city.resident()
            for (token, status) in [(nil, 401), (resident.session, 401), (reader, 403)] as [(FixtureCredential?, Int)] {
                let stranger = LedgerCaller(api: CityAPIClient(client, token: token))
                #expect(try await stranger.api.get("/api/v1/ledger/accounts/\(account)").status == status)
                #expect(try await stranger.api.get("/api/v1/ledger/accounts/\(account)/entries").status == status)
                #expect(try await stranger.opening(UUID()).status == status)
                #expect(try await stranger.transfer(account, other, 1).status == status)
                #expect(try await stranger.batch([stranger.body(account, other, 1)]).status == status)
            }
            let eve = LedgerCaller(api: CityAPIClient(client, token: rival))
            #expect(try await eve.api.get("/api/v1/ledger/accounts/\(account)").status == 404)
            #expect(try await eve.api.get("/api/v1/ledger/accounts/\(account)/entries").status == 404)
            #expect(try await eve.opening(account).status == 409)
            let stolen = try await eve.transfer(account, other, 1)
            #expect(stolen.status == 422 && stolen.json["result"] == "account_unknown" && stolen.json["field"] == "debit_account")
            #expect(try await bank.balance(LedgerAccountID(account)) == 100)
        }
    }

    @Test("An account opens once; the same again finds it, another under its id is a conflict")
    func accounts() async throws {
        try await LedgerCaller.serve { _, caller, _ in
            let id = UUID()
            let first = try await caller.opening(id)
            #expect(first.status == 201)
            #expect(first.json["posted"] == 0 && first.json["held"] == 0 && first.json["available"] == 0 && first.json["kind"] == "general")
            #expect(try await caller.opening(id).status == 200)
            let other = try await caller.opening(id, currency: "USD")
            #expect(other.status == 409 && other.json["result"] == "id_conflict")
            let bad = try await caller.api.post("/api/v1/ledger/accounts", #"{"id":"x","kind":"treasury","currency":"XXQ","more":1}"#)
            #expect(bad.status == 400)
            #expect(try #require(bad.json["errors"]?.elements).compactMap { $0["field"]?.text } == ["id", "kind", "currency", "more"])
        }
    }

    @Test("A transfer is created once, exists afterwards, conflicts with another body, and stays refused for lack of funds")
    func transfers() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let from = try await caller.open()
            let to = try await caller.open()
            let id = UUID()
            let funded = try await caller.transfer(bank.funding.uuid, from, 50)
            #expect(funded.status == 201 && funded.json["result"] == "created" && funded.json["amount"] == 50)
            #expect(try await caller.transfer(from, to, 20, id: id).status == 201)
            let again = try await caller.transfer(from, to, 20, id: id)
            #expect(again.status == 200 && again.json["result"] == "exists")
            let conflict = try await caller.transfer(from, to, 21, id: id)
            #expect(conflict.status == 409 && conflict.json["result"] == "id_conflict" && conflict.json["field"] == "amount")
            let poor = UUID()
            let tooMuch = try await caller.transfer(from, to, 31, id: poor)
            #expect(tooMuch.status == 422 && tooMuch.json["result"] == "insufficient_funds")
            #expect(try await caller.transfer(bank.funding.uuid, from, 1_000).status == 201)
            #expect(try await caller.transfer(from, to, 31, id: poor).status == 422)
            #expect(try await caller.transfer(from, to, 31).status == 201)
            let account = try await caller.api.get("/api/v1/ledger/accounts/\(from)").json
            #expect(account["posted"] == 999 && account["available"] == 999 && account["entry_count"] == 4)
            #expect(try await bank.verify().isSound)
        }
    }

    @Test("A malformed request is a 400 that names every field and reserves no id")
    func malformed() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let to = try await caller.open()
            let id = UUID()
            let good = caller.body(bank.funding.uuid, to, 5, id: id)
            for (broken, field) in [
                (good.replacing("5,", with: "5.0,"), "amount"), (good.replacing("5,", with: "0,"), "amount"),
                (good.replacing("5,", with: "9007199254740992,"), "amount"), (good.replacing("5,", with: #""5","#), "amount"),
                (good.replacing("EUR", with: "eur"), "currency"), (good.replacing(#""post""#, with: #""mint""#), "kind"),
                (good.replacing(to.uuidString.lowercased(), with: bank.funding.description), "credit_account"),
                (good.replacing(#""reference":"test""#, with: #""reference":"""#), "reference"),
                (good.replacing(#"{"id""#, with: #"{"rate":2,"id""#), "rate"),
                (good.replacing(#"{"id""#, with: #"{"hold_id":"\#(UUID())","id""#), "hold_id"),
                (good.replacing(#"{"id""#, with: #"{"expires_at":"2999-01-01T00:00:00Z","id""#), "expires_at"),
                (good.replacing(#""post""#, with: #""post_hold""#), "hold_id"), (good.replacing(#""post""#, with: #""reversal""#), "reversal_of"),
                (good.replacing(#""post""#, with: #""hold","expires_at":"tomorrow""#), "expires_at"),
            ] {
                let answer = try await caller.api.post("/api/v1/ledger/transfers", broken)
                #expect(answer.status == 400, "\(broken)")
                #expect(answer.json["errors"]?.elements.first?["field"]?.text == field, "\(answer.text)")
                let batch = try await caller.batch([good, broken])
                #expect(batch.status == 400 && batch.json["errors"]?.elements.first?["field"]?.text == "transfers[1].\(field)", "\(batch.text)")
            }
            #expect(try await bank.count("ledger.transfer") == 0)
            #expect(try await caller.api.post("/api/v1/ledger/transfers", good).status == 201)
        }
    }

    @Test("A hold shows in held and available, is posted in part and not again, and what has expired or was reversed says so")
    func holds() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let (from, to) = (try await caller.open(), try await caller.open())
            let (hold, paid) = (UUID(), UUID())
            #expect(try await caller.transfer(bank.funding.uuid, from, 100, id: paid).status == 201)
            let expiring = #","expires_at":"2999-01-01T00:00:00+01:00""#
            let made = try await caller.send(caller.body(from, to, 60, id: hold, kind: "hold", more: expiring))
            #expect(made.status == 201 && made.json["expires_at"] == "2998-12-31T23:00:00.000Z")
            #expect(try await caller.send(caller.body(from, to, 60, id: hold, kind: "hold", more: expiring)).status == 200)
            let other = try await caller.send(caller.body(from, to, 60, id: hold, kind: "hold"))
            #expect(other.status == 409 && other.json["field"] == "expires_at")
            var account = try await caller.api.get("/api/v1/ledger/accounts/\(from)").json
            #expect(account["posted"] == 100 && account["held"] == 60 && account["available"] == 40)
            #expect(try await caller.transfer(from, to, 41).status == 422)

            let ending = #","hold_id":"\#(hold.uuidString.lowercased())""#
            let tooMuch = try await caller.send(caller.body(from, to, 61, kind: "post_hold", more: ending))
            #expect(tooMuch.status == 422 && tooMuch.json["result"] == "hold_mismatch" && tooMuch.json["field"] == "amount")
            let part = try await caller.send(caller.body(from, to, 25, kind: "post_hold", more: ending))
            #expect(part.status == 201 && part.json["hold_id"]?.text == hold.uuidString.lowercased())
            let again = try await caller.send(caller.body(from, to, 60, kind: "void_hold", more: ending))
            #expect(again.status == 422 && again.json["result"] == "hold_posted")
            account = try await caller.api.get("/api/v1/ledger/accounts/\(from)").json
            #expect(account["posted"] == 75 && account["held"] == 0 && account["available"] == 75)

            let late = try await caller.send(caller.body(from, to, 1, kind: "hold", more: #","expires_at":"2020-01-01T00:00:00Z""#))
            #expect(late.status == 422 && late.json["result"] == "hold_expired" && late.json["field"] == "expires_at")
            let back = caller.body(from, bank.funding.uuid, 100, kind: "reversal", more: #","reversal_of":"\#(paid.uuidString.lowercased())""#)
            #expect(try await caller.send(back).json["result"] == "insufficient_funds")
            #expect(try await caller.send(caller.body(to, from, 25)).status == 201)
            let reversed = back.replacing(/"id":"[^"]*"/, with: "\"id\":\"\(UUID().uuidString.lowercased())\"")
            #expect(try await caller.send(reversed).status == 201)
            #expect(try await caller.send(reversed).status == 200)
            let twice = try await caller.send(back.replacing(/"id":"[^"]*"/, with: "\"id\":\"\(UUID().uuidString.lowercased())\""))
            #expect(twice.status == 422 && twice.json["result"] == "already_reversed")
            #expect(try await bank.verify().findings == [])
        }
    }

    @Test("Linked items of a batch stand or fall together; the last has nothing to be linked with")
    func linked() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let (a, b) = (try await caller.open(), try await caller.open())
            let linked = #","linked":true"#
            let items = [
                caller.body(bank.funding.uuid, a, 5), caller.body(a, b, 5, more: linked), caller.body(b, a, 6), caller.body(a, b, 2),
            ]
            #expect(try await caller.results(items, atomic: false) == ["created", "batch_refused", "insufficient_funds", "created"])
            let open = try await caller.batch([items[0], items[1]])
            #expect(open.status == 400 && open.json["errors"]?.elements.first?["field"]?.text == "transfers[1].linked")
            #expect(try await caller.send(items[1]).status == 400)
        }
    }

    @Test("A batch decides in order, each item for itself; an atomic one posts all or nothing, and only the refused id is used up")
    func batches() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let a = try await caller.open()
            let b = try await caller.open()
            let ids = (0..<4).map { _ in UUID() }
            let items = [
                caller.body(bank.funding.uuid, a, 10, id: ids[0]), caller.body(a, b, 7, id: ids[1]), caller.body(a, b, 7, id: ids[2]),
                caller.body(b, a, 7, id: ids[3]),
            ]
            #expect(try await caller.results(items, atomic: true) == ["batch_refused", "batch_refused", "insufficient_funds", "batch_refused"])
            #expect(try await bank.balance(LedgerAccountID(a)) == 0)
            #expect(try await bank.count("ledger.transfer") == 1)
            #expect(try await caller.results(items, atomic: false) == ["created", "created", "insufficient_funds", "created"])
            let more = [caller.body(a, b, 10), caller.body(b, a, 10), items[0]]
            #expect(try await caller.results(more, atomic: true) == ["created", "created", "exists"])
            #expect(try await caller.results(more, atomic: true) == ["exists", "exists", "exists"])
            let stranger = [caller.body(a, b, 1), caller.body(a, UUID(), 1)]
            #expect(try await caller.results(stranger, atomic: true) == ["batch_refused", "account_unknown"])
            #expect(try await caller.results(stranger, atomic: false) == ["created", "account_unknown"])
            #expect(try await caller.batch([]).status == 400)
            #expect(try await caller.batch(Array(repeating: items[0], count: 1_001)).status == 400)
            #expect(try await bank.verify().isSound)
        }
    }

    @Test("One id in several atomic batches at once: one batch is posted, the others find it or are refused as a whole")
    func atomicRace() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let a = try await caller.open()
            let b = try await caller.open()
            #expect(try await caller.transfer(bank.funding.uuid, a, 100).status == 201)
            let shared = UUID()
            let results = try await inParallel(8) { index in
                try await caller.results([caller.body(a, b, 1), caller.body(a, b, Int64(index + 1), id: shared)], atomic: true)
            }
            let posted = results.filter { $0 == ["created", "created"] }.count
            let refused = results.filter { $0 == ["batch_refused", "id_conflict"] }.count
            #expect(posted == 1 && refused == 7)
            #expect(try await bank.count("ledger.transfer") == 3)
            #expect(try await bank.verify().isSound)
        }
    }

    @Test("The statement of an account comes in pages that miss and repeat none")
    func entries() async throws {
        try await LedgerCaller.serve { bank, caller, _ in
            let a = try await caller.open()
            let b = try await caller.open()
            let count = LedgerRoutes.entriesPerPage + 3
            let transfers = (1...count).map { caller.body(bank.funding.uuid, a, Int64($0)) } + [caller.body(a, b, 6)]
            #expect(try await caller.results(transfers, atomic: false).allSatisfy { $0 == "created" })
            let path = "/api/v1/ledger/accounts/\(a)/entries"
            let first = try await caller.api.get(path).json
            let second = try await caller.api.get("\(path)?cursor=\(try #require(first["next_cursor"]?.text))").json
            let numbers = (first.items + second.items).compactMap { $0["number"] }
            #expect(numbers == (1...(count + 1)).reversed().map { .integer(Int64($0)) })
            #expect(second["next_cursor"] == .null)
            let newest = try #require(first.items.first)
            #expect(newest["side"] == "debit" && newest["amount"] == 6 && newest["other_account"]?.text == b.uuidString.lowercased())
            #expect(newest["balance_after"] == .integer(Int64(count * (count + 1) / 2 - 6)))
            #expect(try await caller.api.get(path + "?cursor=-1").status == 400)
            #expect(try await caller.api.get("/api/v1/ledger/accounts/\(UUID())/entries").status == 404)
        }
    }
}

/// A program with a token of the bank.
struct LedgerCaller: Sendable {
    let api: CityAPIClient

    static func serve(_ body: @Sendable (Bank, LedgerCaller, any TestClientProtocol) async throws -> Void) async throws {
        let bank = try await Bank()
        try await bank.city.serve({ LedgerRoutes(ledger: bank.ledger).add(to: $0) }) { client in
            try await body(bank, LedgerCaller(api: CityAPIClient(client, token: bank.client.credential)), client)
        }
    }

    func opening(_ id: UUID, currency: String = "EUR") async throws -> CityAnswer {
        try await api.post("/api/v1/ledger/accounts", #"{"id":"\#(id.uuidString.lowercased())","kind":"general","currency":"\#(currency)"}"#)
    }

    func open() async throws -> UUID {
        let id = UUID()
        #expect(try await opening(id).status == 201)
        return id
    }

    /// - Parameter more: further members, each after a comma.
    func body(_ debit: UUID, _ credit: UUID, _ amount: Int64, id: UUID = UUID(), kind: String = "post", more: String = "") -> String {
        """
        {"id":"\(id.uuidString.lowercased())","kind":"\(kind)","debit_account":"\(debit.uuidString.lowercased())",\
        "credit_account":"\(credit.uuidString.lowercased())","amount":\(amount),"currency":"EUR","reference":"test"\(more)}
        """
    }

    func send(_ body: String) async throws -> CityAnswer { try await api.post("/api/v1/ledger/transfers", body) }

    func transfer(_ debit: UUID, _ credit: UUID, _ amount: Int64, id: UUID = UUID()) async throws -> CityAnswer {
        try await send(body(debit, credit, amount, id: id))
    }

    func batch(_ items: [String], atomic: Bool = false) async throws -> CityAnswer {
        try await api.post("/api/v1/ledger/transfer-batches", #"{"transfers":[\#(items.joined(separator: ","))],"atomic":\#(atomic)}"#)
    }

    func results(_ items: [String], atomic: Bool) async throws -> [String] {
        let answer = try await batch(items, atomic: atomic)
        #expect(answer.status == 200, "\(answer.text)")
        return answer.json["results"]?.elements.compactMap { $0["result"]?.text } ?? []
    }
}

extension JSONValue {
    var elements: [JSONValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    fileprivate var items: [JSONValue] { self["items"]?.elements ?? [] }
}
