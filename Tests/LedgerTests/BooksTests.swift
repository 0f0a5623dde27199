// The books: what an account held at a moment, statements of a period, the trial balance, and closed periods.
import City
import Foundation
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

@Suite("Statements and balances of a moment")
struct StatementTests {
    @Test("Whatever the clock did and from when transfers count: every balance is the sum of what counts from before, and pages miss nothing")
    func agreesWithTheSum() async throws {
        let bank = try await Bank()
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        try await bank.city.stopClock(at: start)
        let credential = try await bank.city.clientToken("bank", scope: ["ledger.post"], secondsLeft: 10_000_000).hash
        let (a, b) = (try await bank.account(), try await bank.account())
        // Three days forth, an hour back, now and then; a tenth counts from another moment, a few of them from one to come.
        var clock = start
        var moments = [start]
        for round in 0..<40 {
            let batch = (0..<(round % 5 == 0 ? 90 : 3)).map { index in
                let other = (round * 7 + index) % 10 == 0 ? clock + Double((index * 37 + round * 11) % 40 - 30) * 86_400 : nil
                return Transfer(
                    id: .new(), debit: bank.funding, credit: index % 3 == 0 ? b : a, amount: Money(minorUnits: Int64(index + 1), currency: .eur),
                    reference: "\(round)", effectiveAt: other)
            }
            #expect(try await bank.ledger.post(batch, by: credential).allSatisfy { $0 == .created })
            clock += round % 7 == 6 ? -3_600 : 3 * 86_400
            try await bank.city.stopClock(at: clock)
            moments.append(clock)
        }
        for account in [a, b, bank.funding] {
            for moment in moments + moments.map({ $0 + 0.000_001 }) + [.distantPast, .distantFuture] {
                let expected = try await bank.sum(of: account, before: moment)
                #expect(try await bank.ledger.balance(of: account, before: moment, by: credential).minorUnits == expected, "\(moment)")
            }
        }
        let (from, to) = (start + 10 * 86_400, start + 60 * 86_400)
        var entries: [StatementEntry] = []
        while true {
            let page = try await bank.ledger.statement(of: a, from: from, to: to, after: entries.last?.place, count: 50, by: credential)
            entries += page.entries
            guard page.entries.count == 50 else {
                #expect(page.opening.minorUnits + entries.reduce(0) { $0 + $1.amount } == page.closing.minorUnits)
                break
            }
        }
        let expected = try await bank.city.owner.query(
            OneValue(
                """
                SELECT number FROM ledger.entry WHERE account_id = \(a) AND effective_at >= \(from) AND effective_at < \(to) ORDER BY effective_at, number
                """, of: Int64.self))
        #expect(entries.map(\.number) == expected && entries.count > 100)
        #expect(try await bank.verify().findings == [])
    }

    @Test("An account with a hundred thousand transfers costs a page and a balance no more than a small one")
    func readsByIndex() async throws {
        let bank = try await Bank()
        let (small, large) = (try await bank.account(), try await bank.account())
        try await bank.fill(small, thousands: 2)
        try await bank.fill(large, thousands: 100)
        for (question, most) in [("balance_before('%', '@')", 60), ("statement_page('%', '@', 'infinity', NULL, NULL, 100)", 700)] {
            func blocks(_ account: LedgerAccountID) async throws -> Int {
                let middle = try await bank.city.owner.one(
                    OneValue("SELECT max(recorded_at) - (max(recorded_at) - min(recorded_at)) / 2 FROM ledger.entry WHERE account_id = \(account)", of: Date.self))
                let asked = question.replacing("%", with: account.description).replacing("@", with: RFC3339.text(middle))
                let plan = try await bank.city.owner.one(
                    OneValue("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT count(*) FROM ledger.\(unsafeRaw: asked)", of: JSONText.self))
                guard case .array(let plans) = try JSONScanner.scan(Array(plan.text.utf8)), let root = plans.first?["Plan"], case .integer(let hit)? = root["Shared Hit Blocks"],
                    case .integer(let read)? = root["Shared Read Blocks"]
                else { throw DatabaseError.decoding(column: "plan", reason: "is not what EXPLAIN writes") }
                return Int(hit + read)
            }
            // The first run of a session reads the catalogue too.
            _ = try await (blocks(small), blocks(large))
            let (few, many) = (try await blocks(small), try await blocks(large))
            #expect(many <= most, "\(question) reads \(many) blocks")
            #expect(many <= few + 40, "\(question): \(few) blocks of a small account, \(many) of a large one")
        }
    }

    @Test("As JSON: a statement in pages, a balance before a moment; strangers and broken moments are refused")
    func interface() async throws {
        try await LedgerCaller.serve { bank, caller, client in
            let (a, b) = (try await caller.open(), try await caller.open())
            let day = #","effective_at":"2020-03-01T12:00:00+01:00""#
            let dated = try await caller.send(caller.body(bank.funding.uuid, a, 40, more: day))
            #expect(dated.status == 201 && dated.json["effective_at"] == "2020-03-01T11:00:00.000Z")
            #expect(try await caller.transfer(a, b, 15).status == 201)
            let path = "/api/v1/ledger/accounts/\(a)"
            let before = try await caller.api.get("\(path)/balance?before=2020-03-01T11:00:00Z").json
            let after = try await caller.api.get("\(path)/balance?before=2020-03-01T11:00:00.001Z").json
            #expect(before["posted"] == 0 && after["posted"] == 40 && after["currency"] == "EUR")
            let all = try await caller.api.get("\(path)/statement?from=2020-03-01T11:00:00Z&to=2999-01-01T00:00:00Z").json
            #expect(all["opening"] == 0 && all["closing"] == 25 && all["next_cursor"] == .null)
            guard case .array(let items)? = all["items"] else {
                Issue.record("\(all)")
                return
            }
            #expect(items.map { $0["amount"] } == [40, 15] && items.map { $0["side"] } == ["credit", "debit"] && items.map { $0["kind"] } == ["post", "post"])
            let late = try await caller.api.get("\(path)/statement?from=2020-03-02T00:00:00Z&to=2020-03-03T00:00:00Z").json
            #expect(late["opening"] == 40 && late["closing"] == 40 && late["items"] == .array([]))

            for query in ["", "?from=2020-03-01T11:00:00Z", "?from=yesterday&to=2999-01-01T00:00:00Z", "?from=2020-03-02T00:00:00Z&to=2020-03-01T00:00:00Z"] {
                #expect(try await caller.api.get("\(path)/statement\(query)").status == 400, "\(query)")
            }
            #expect(try await caller.api.get("\(path)/balance").status == 400)
            #expect(try await caller.api.get("\(path)/statement?from=2020-03-01T11:00:00Z&to=2999-01-01T00:00:00Z&cursor=x").status == 400)
            let rival = try await bank.city.organisation("rival", scope: ["ledger.post"]).credential
            for (token, status) in [(nil, 401), (rival, 404)] as [(FixtureCredential?, Int)] {
                let stranger = CityAPIClient(client, token: token)
                #expect(try await stranger.get("\(path)/balance?before=2020-03-01T11:00:00Z").status == status)
                #expect(try await stranger.get("\(path)/statement?from=2020-03-01T11:00:00Z&to=2999-01-01T00:00:00Z").status == status)
            }
        }
    }
}

@Suite("Closing the books")
struct ClosingTests {
    @Test("Only a finance officer closes; a closed period takes nothing more, also when the clock goes back, and cannot be changed")
    func closes() async throws {
        let bank = try await Bank()
        let books = Books(database: bank.city.app)
        let officer = try await bank.city.staff(roles: [.financeOfficer]).session.hash
        let (a, b) = (try await bank.account(100), try await bank.account())
        let until = Date(timeIntervalSinceNow: -86_400)
        for other in [try await bank.city.staff(roles: [.auditor, .approver]).session.hash, bank.client.credential.hash] {
            await #expect(throws: ClosingRefusal.notPermitted) { try await books.close(until: until, note: "x", by: other) }
            #expect(try await books.trialBalance(before: nil, by: other).isEmpty)
            #expect(try await books.closedPeriods(by: other).isEmpty)
            #expect(try await books.account(a, from: until, to: nil, by: other) == nil)
            #expect(try await books.statement(of: a, from: .distantPast, to: nil, after: nil, count: 10, by: other).isEmpty)
            #expect(try await books.accounts(of: "bank", kind: "general", currency: .eur, after: nil, count: 10, by: other).isEmpty)
        }
        await #expect(throws: ClosingRefusal.notOver) { try await books.close(until: Date(timeIntervalSinceNow: 60), note: "x", by: officer) }
        func dated(_ seconds: TimeInterval, id: TransferID = .new()) -> Transfer {
            Transfer(
                id: id, debit: a, credit: b, amount: Money(minorUnits: 1, currency: .eur), reference: "dated", effectiveAt: until.addingTimeInterval(seconds))
        }
        #expect(try await bank.post(dated(-1)) == .created)
        try await books.close(until: until, note: "checked", by: officer)
        await #expect(throws: ClosingRefusal.alreadyClosed) { try await books.close(until: until, note: "again", by: officer) }
        let late = dated(-0.001)
        #expect(try await bank.post([late, dated(0), bank.transfer(a, b, 1)]) == [.periodClosed, .created, .created])
        #expect(try await bank.post(dated(5, id: late.id)) == .created)
        #expect(try await books.closedPeriods(by: officer).map(\.note) == ["checked"])
        for statement in ["UPDATE ledger.period_close SET until = now()", "DELETE FROM ledger.period_close", "TRUNCATE ledger.period_close"] {
            await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(SQL(unsafeRaw: statement)) }
        }

        try await bank.city.setClock(secondsAhead: -3 * 86_400)
        let then = try await bank.city.clientToken("bank", scope: ["ledger.post"]).hash
        #expect(try await bank.ledger.post(bank.transfer(a, b, 1), by: then) == .created)
        // Of the two that count from the closing on, the one was asked to, and the other's own moment lies before it.
        #expect(try await bank.count("ledger.transfer WHERE effective_at = \(until)") == 2)
        #expect(try await bank.verify().findings == [])
    }

    @Test("What counts from a period and is posted while it closes is either in it before, or refused")
    func race() async throws {
        let bank = try await Bank()
        let books = Books(database: bank.city.app)
        let officer = try await bank.city.staff(roles: [.financeOfficer]).session.hash
        let account = try await bank.account()
        let until = Date(timeIntervalSinceNow: -3_600)
        let credential = bank.client.credential.hash
        let ledgers = (0..<4).map { _ in Ledger(database: bank.city.app) }
        let held = try await inParallel(81) { index -> Int64? in
            if index == 30 {
                try await books.close(until: until, note: "race", by: officer)
                return try await books.trialBalance(before: until, by: officer).reduce(0) { $0 + $1.credit.minorUnits }
            }
            let transfer = Transfer(
                id: .new(), debit: bank.funding, credit: account, amount: Money(minorUnits: 1, currency: .eur), reference: "race",
                effectiveAt: until - 1)
            let outcome = try await ledgers[index % 4].post(transfer, by: credential)
            #expect(outcome == .created || outcome == .periodClosed)
            return nil
        }.compactMap(\.self)
        #expect(try await held == [books.trialBalance(before: until, by: officer).reduce(0) { $0 + $1.credit.minorUnits }])
        let inTime = try await bank.count("ledger.transfer AS t, ledger.period_close AS c WHERE t.reference = 'race' AND t.outcome = 'posted'")
        #expect(try await bank.balance(account) == Int64(inTime))
        #expect(held == [Int64(inTime)])
    }

    @Test("The trial balance has equal sides at every moment, and tells of residents' wallets only what they hold together")
    func trialBalance() async throws {
        let bank = try await Bank()
        let books = Books(database: bank.city.app)
        let officer = try await bank.city.staff(roles: [.financeOfficer]).session.hash
        let ada = try await bank.city.resident()
        let wallet = try await bank.administration.openWallet(of: ada.id, in: .eur)
        let (a, b) = (try await bank.account(100), try await bank.account())
        try await bank.administration.post([bank.transfer(bank.funding, wallet, 30)], occasion: "test")
        let moment = Date()
        #expect(try await bank.post(bank.transfer(a, b, 60)) == .created)
        for (before, expected) in [(nil, 130), (moment, 130), (Date.distantPast, 0)] as [(Date?, Int64)] {
            let lines = try await books.trialBalance(before: before, by: officer)
            #expect(lines.map(\.debit.minorUnits).reduce(0, +) == expected && lines.map(\.credit.minorUnits).reduce(0, +) == expected)
            #expect(lines.allSatisfy { $0.debit.minorUnits == 0 || $0.credit.minorUnits == 0 })
        }
        let lines = try await books.trialBalance(before: nil, by: officer)
        #expect(lines.map(\.kind) == ["funding", "general", "wallet"] && lines.map(\.accountCount) == [1, 2, 1])
        #expect(lines.map(\.account) == [bank.funding, nil, nil])
        #expect(try await books.account(wallet, from: .distantPast, to: nil, by: officer) == nil)
        #expect(try await books.statement(of: wallet, from: .distantPast, to: nil, after: nil, count: 10, by: officer).isEmpty)
        let statement = try await books.statement(of: bank.funding, from: .distantPast, to: nil, after: nil, count: 10, by: officer)
        #expect(statement.map(\.otherAccount) == [a, nil])
    }

    @Test("On pages: the trial balance leads to accounts and statements, a period is closed with a form that says what is wrong; others see nothing")
    func pages() async throws {
        let bank = try await Bank()
        let (a, b) = (try await bank.account(10_050), try await bank.account(7))
        #expect(try await bank.post(bank.transfer(a, b, 250, reference: "A <b>long</b> reference")) == .created)
        try await bank.city.serve({ BooksRoutes(database: bank.city.app, zone: .gmt).add(to: $0) }) { client in
            for roles in [[StaffRole.caseworker], [.auditor, .approver]] {
                let other = CityBrowser(client, session: try await bank.city.staff(roles: roles).session)
                for path in ["/staff/ledger", "/staff/ledger/accounts/\(a)", "/staff/ledger/accounts?kind=general&currency=EUR&organisation=bank"] {
                    #expect(try await other.get(path).status == 403)
                }
            }
            let officer = CityBrowser(client, session: try await bank.city.staff(roles: [.financeOfficer]).session)
            let sheet = try await officer.get("/staff/ledger")
            #expect(sheet.status == 200 && sheet.text.contains("€100.57") && sheet.text.contains("Debits and credits are equal"))
            #expect(sheet.text.contains("/staff/ledger/accounts/\(bank.funding)"))
            let list = try await officer.get("/staff/ledger/accounts?kind=general&currency=EUR&organisation=bank")
            #expect(list.status == 200 && list.text.contains("/staff/ledger/accounts/\(a)") && list.text.contains("€98.00"))
            let statement = try await officer.get("/staff/ledger/accounts/\(a)")
            #expect(statement.status == 200 && statement.text.contains("€2.50") && statement.text.contains("A &lt;b&gt;long&lt;/b&gt; reference"))
            #expect(try await officer.get("/staff/ledger/accounts/\(LedgerAccountID.new())").status == 404)
            #expect(try await officer.get("/staff/ledger/accounts?kind=wallet&currency=EUR&organisation=bank").status == 404)
            let turned = "from-day=2&from-month=3&from-year=2020&to-day=1&to-month=3&to-year=2020"
            let wrong = try await officer.get("/staff/ledger/accounts/\(a)?\(turned)")
            #expect(wrong.status == 422 && wrong.text.contains("ends before it begins"))

            _ = try await officer.get("/staff/ledger")
            let tomorrow = try await officer.post(
                "/staff/ledger/closings", [("last_day-day", "1"), ("last_day-month", "1"), ("last_day-year", "2999"), ("note", "too early")])
            #expect(tomorrow.status == 422 && tomorrow.text.contains("not over yet") && tomorrow.text.contains("too early"))
            let empty = try await officer.post("/staff/ledger/closings", [])
            #expect(empty.status == 422)
            let fields = [("last_day-day", "31"), ("last_day-month", "12"), ("last_day-year", "2020"), ("note", "The year is checked")]
            #expect(try await officer.post("/staff/ledger/closings", fields).status == 303)
            #expect(try await officer.get("/staff/ledger").text.contains("The year is checked"))
            #expect(try await officer.post("/staff/ledger/closings", fields).status == 422)
        }
    }
}

extension Bank {
    /// What the entries of an account that count from before a moment add up to.
    func sum(of account: LedgerAccountID, before moment: Date) async throws -> Int64 {
        try await city.owner.one(
            OneValue(
                """
                SELECT coalesce(sum(CASE e.side WHEN a.normal_side THEN e.amount ELSE -e.amount END), 0)::bigint
                FROM ledger.entry AS e JOIN ledger.account AS a ON a.id = e.account_id WHERE a.id = \(account) AND e.effective_at < \(moment)
                """))
    }

    /// Thousands of transfers of a minor unit into an account.
    func fill(_ account: LedgerAccountID, thousands: Int) async throws {
        for _ in 0..<thousands {
            let refused: Int64 = try await city.owner.one(
                OneValue(
                    """
                    SELECT count(*) FILTER (WHERE p.outcome <> 'created') FROM (
                        SELECT array_agg(gen_random_uuid()) AS ids, array_agg('post'::text) AS kinds, array_agg(\(funding)::uuid) AS debits,
                            array_agg(\(account)::uuid) AS credits, array_agg(1::bigint) AS amounts, array_agg('EUR'::text) AS currencies,
                            array_agg('fill'::text) AS refs, array_agg(NULL::timestamptz) AS moments, array_agg('system'::text) AS actors
                        FROM generate_series(1, 1000)) AS b,
                        ledger.post_transfers(b.ids, b.kinds, b.debits, b.credits, b.amounts, b.currencies, b.refs, b.moments, b.actors, b.actors) AS p
                    """))
            #expect(refused == 0)
        }
    }
}
