// A resident's messages, page by page: each once, newest first, on the page and in JSON. Refusals first.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import Messages

@Suite("Message pages")
struct MessagePagesTests {
    /// More than two pages; some have the same moment, which the id decides.
    private static func fill(_ city: CityFixture, _ resident: FixtureResident) async throws -> Int {
        let count = 2 * MessagesRoutes.messagesPerPage + 3
        try await city.owner.execute(
            """
            INSERT INTO messages.message (id, resident_id, kind, parameters, sent_at)
            SELECT gen_random_uuid(), \(resident.id), 'bill_paid', jsonb_build_object('amount', '1', 'reference', 'LETTER-' || n || '-'),
                timestamptz '2026-01-01 00:00:00.123456Z' + make_interval(secs => n / 3)
            FROM generate_series(1, \(count)) AS n
            """)
        return count
    }

    @Test("A cursor that was never given, or is another's kind, is refused")
    func malformed() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        let token = try await city.appToken(of: ada, scope: ["messages"])
        try await city.serve({ MessagesRoutes(database: city.app).add(to: $0) }) { client in
            for cursor in ["x", "1_2", "-1_\(UUID())", "99999999999999999999_\(UUID())"] {
                let page = try await CityBrowser(client, session: ada.session).get("/messages?before=\(cursor)")
                let list = try await CityAPIClient(client, token: token).get("/api/v1/messages?cursor=\(cursor)")
                #expect(page.status == 400 && list.status == 400, "\(cursor)")
            }
        }
    }

    @Test("Older messages follow the link and the cursor until there are none, and nobody else's are among them")
    func pages() async throws {
        let city = try await CityFixture.make()
        let (ada, bob) = (try await city.resident(), try await city.resident())
        let count = try await Self.fill(city, ada)
        try await Messages.send(.welcome, to: bob.id, on: city.app)
        let token = try await city.appToken(of: ada, scope: ["messages"])
        try await city.serve({ MessagesRoutes(database: city.app).add(to: $0) }) { client in
            let browser = CityBrowser(client, session: ada.session)
            var seen: [String] = []
            var next: String? = "/messages"
            while let address = next, seen.count <= count {
                let page = try await browser.get(address).text
                seen += page.matches(of: /LETTER-\d+-/).map { String($0.0) }
                next = page.firstMatch(of: /href="(\/messages\?before=[^"]+)"/).map { String($0.1) }
            }
            #expect(seen.count == count && Set(seen).count == count)

            var ids: [String] = []
            var times: [String] = []
            var cursor = ""
            repeat {
                let answer = try await CityAPIClient(client, token: token).get("/api/v1/messages" + (cursor.isEmpty ? "" : "?cursor=\(cursor)")).json
                guard case .array(let items)? = answer["items"] else { Issue.record("no items"); return }
                ids += items.compactMap { $0["id"]?.text }
                times += items.compactMap { $0["at"]?.text }
                cursor = answer["next_cursor"]?.text ?? ""
            } while !cursor.isEmpty && ids.count <= count
            #expect(ids.count == count && Set(ids).count == count)
            #expect(times == times.sorted(by: >))
            let others = try await CityBrowser(client, session: bob.session).get("/messages").text
            #expect(!others.contains("LETTER-") && !others.contains("/messages?before="))
        }
    }

    @Test("A message leads to the page that it is about; one that is about none does not")
    func links() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        try await Messages.send(.questionAnswered, to: ada.id, ["reference": "ABC"], on: city.app)
        try await Messages.send(.welcome, to: ada.id, on: city.app)
        try await city.serve({ MessagesRoutes(database: city.app).add(to: $0) }) { client in
            let page = try await CityBrowser(client, session: ada.session).get("/messages").text
            #expect(page.contains("<a href=\"/access-log\">Who looked at your data</a>"))
            #expect(page.matches(of: /<article/).count == 2 && page.matches(of: /<article class="card">\s*<p>[^<]+<\/p>\s*<p><a/).count == 1)
        }
    }
}
