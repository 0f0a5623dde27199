// The file of a batch: what is in it, that it is the same when it is written again, also after a kill, and that everybody in it has an entry.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import Postgres
import Primitives
import TestSupport
import Testing
import Web

#if canImport(FoundationXML)
    import FoundationXML
#endif

@testable import Payouts

@Suite("Payment files")
struct PaymentFileTests {
    /// Every element's text by its path, and how often each path occurs.
    private final class Reader: NSObject, XMLParserDelegate {
        var texts: [String: [String]] = [:]
        private var path: [String] = []
        private var text = ""

        func parser(_ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]) {
            path.append(name)
            text = ""
            if let currency = attributes["Ccy"] { texts["Ccy", default: []].append(currency) }
        }
        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
        func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
            texts[path.dropFirst(2).joined(separator: "/"), default: []].append(text)
            path.removeLast()
            text = ""
        }
    }

    private func read(_ path: String) throws -> [String: [String]] {
        let reader = Reader()
        let parser = XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: path)))
        parser.delegate = reader
        try #require(parser.parse())
        return reader.texts
    }

    @Test("Number and control sum stand in both heads, accounts in plain letters with structured addresses, amounts by the currency's decimals")
    func content() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 200_000, account: try PayOffice.account("Åsa Müller-Çelik & Søn", street: "Rua de São João 7"))
        let eve = try await office.resident(account: try PayOffice.account("Eve O’Hara", "BE68539007547034", street: nil))
        for (amount, resident) in [(100_005, ada), (1, ada), (2_000, eve)] as [(Int64, FixtureResident)] { try await office.takeOut(amount, resident) }
        let batch = try await office.approvedBatch()
        let file = try await office.files().write(batch.reference)
        let texts = try read(file.path)
        #expect(texts["GrpHdr/NbOfTxs"] == ["3"] && texts["PmtInf/NbOfTxs"] == ["3"])
        #expect(texts["GrpHdr/CtrlSum"] == ["1020.06"] && texts["PmtInf/CtrlSum"] == ["1020.06"])
        #expect(texts["GrpHdr/MsgId"] == [batch.reference])
        #expect(texts["PmtInf/CdtTrfTxInf/Amt/InstdAmt"] == ["1000.05", "0.01", "20.00"] && texts["Ccy"] == ["EUR", "EUR", "EUR"])
        #expect(texts["PmtInf/CdtTrfTxInf/Cdtr/Nm"] == ["Asa Muller-Celik + Son", "Asa Muller-Celik + Son", "Eve O'Hara"])
        #expect(texts["PmtInf/CdtTrfTxInf/Cdtr/PstlAdr/StrtNm"] == ["Rua de Sao Joao 7", "Rua de Sao Joao 7"])
        #expect(texts["PmtInf/CdtTrfTxInf/Cdtr/PstlAdr/TwnNm"] == ["Porto", "Porto", "Porto"])
        #expect(texts["PmtInf/CdtTrfTxInf/Cdtr/PstlAdr/Ctry"] == ["PT", "PT", "PT"])
        #expect(texts["PmtInf/CdtTrfTxInf/CdtrAcct/Id/IBAN"]?.last == "BE68539007547034")
        #expect(texts["PmtInf/DbtrAgt/FinInstnId/Othr/Id"] == ["NOTPROVIDED"])
        let attributes = try FileManager.default.attributesOfItem(atPath: file.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let hash = Array(SHA256.hash(data: try Data(contentsOf: URL(fileURLWithPath: file.path))))
        #expect(hash == file.sha256)
        #expect(try await office.batch(batch.id).sha256 == hash)
        // One entry each for two people, in the name of whoever approved.
        let entries: SQL = "operation = 'payout' AND case_reference = \(batch.reference) AND actor_id = \(office.approver.id.description) AND outcome = 'permitted' AND count = 3"
        #expect(try await office.city.entryCount(where: entries) == 2)
        #expect(try await office.city.entryCount(where: "operation = 'payout' AND subject_id = \(eve.id)") == 1)
    }

    @Test("Killed in the middle, it is written again from the start: the same bytes, and never half a file under its name")
    func killed() async throws {
        let office = try await PayOffice()
        // Three reads' worth.
        try await office.owe(2100, to: try await office.resident())
        let batch = try await office.approvedBatch()
        #expect(batch.count == 2100)
        let files = office.files()
        struct Killed: Error {}
        await #expect(throws: Killed.self) { try await files.write(batch.reference) { done, _ in if done == 2000 { throw Killed() } } }
        let target = files.path(batch.reference)
        #expect(!FileManager.default.fileExists(atPath: target) && FileManager.default.fileExists(atPath: target + ".part"))
        #expect(try await office.batch(batch.id).sha256 == nil)
        #expect(try await files.unfinished() == [batch.reference])
        // What a longer earlier run left does not stay behind.
        try Data(repeating: 65, count: 5_000_000).write(to: URL(fileURLWithPath: target + ".part"))
        let written = try await files.write(batch.reference)
        #expect(written.payments == 2100)
        let elsewhere = try await office.files("elsewhere").write(batch.reference)
        #expect(elsewhere.sha256 == written.sha256 && elsewhere.path != written.path)
        #expect(try Data(contentsOf: URL(fileURLWithPath: target)) == Data(contentsOf: URL(fileURLWithPath: elsewhere.path)))
        #expect(try await files.unfinished() == [])
        #expect(try read(target)["PmtInf/CdtTrfTxInf/PmtId/EndToEndId"].map(Set.init)?.count == 2100)
    }

    @Test("Without an approval there is no file, nothing to open and no entry; what is logged can be opened for five seconds, and not in the same transaction")
    func noFileWithoutApproval() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident()
        try await office.takeOut(100, ada)
        let id = try await office.prepare()
        let reference = try await office.batch(id).reference
        await #expect(throws: PaymentFileError.batchUnknown) { try await office.files().write(reference) }
        let app = office.city.app
        #expect(try await app.one(LogReading(credential: nil, batch: id, after: 0, entries: [.new()])) == false)
        #expect(try await app.one(NoteFile(batch: id, sha256: [UInt8](repeating: 1, count: 32), bytes: 5)) == "not_approved")
        #expect(try await office.city.entryCount(where: "operation = 'payout'") == 0)
        #expect(try await office.approve(id) == "approved")
        let caseworker = try await office.city.staff(roles: [.caseworker])
        #expect(try await app.one(LogReading(credential: caseworker.session.hash, batch: id, after: 0, entries: [.new()])) == false)
        let entry = AccessEntryID.new()
        let rows = try await app.transaction { transaction in
            _ = try await transaction.one(LogReading(credential: nil, batch: id, after: 0, entries: [entry]))
            return try await transaction.query(PaymentsUnder(batch: id, after: 0, entries: [entry]))
        }
        #expect(rows.isEmpty)
        #expect(try await app.query(PaymentsUnder(batch: id, after: 0, entries: [entry])).count == 1)
        #expect(try await app.query(PaymentsUnder(batch: id, after: 0, entries: [.new()])).isEmpty)
        try await office.city.setClock(secondsAhead: 6)
        #expect(try await app.query(PaymentsUnder(batch: id, after: 0, entries: [entry])).isEmpty)
    }

    @Test("An account that cannot be opened any more stops the file with its number, and another hash than the noted one is refused")
    func refusals() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident()
        try await office.takeOut(100, ada)
        let batch = try await office.approvedBatch()
        #expect(try await office.city.app.one(NoteFile(batch: batch.id, sha256: [UInt8](repeating: 1, count: 32), bytes: 5)) == "recorded")
        await #expect(throws: PaymentFileError.hashDiffers) { try await office.files().write(batch.reference) }
        try await office.city.owner.execute("DELETE FROM register.data_key WHERE resident_id = \(ada.id)")
        await #expect(throws: PaymentFileError.accountClosed(position: 1)) { try await office.files().write(batch.reference) }
    }

    @Test("The page: dry run, preparation, approval by another, the file with its hash, a download that is logged, the bank's report")
    func pages() async throws {
        try await PayOffice().serve { office, client in
            let ada = try await office.resident()
            let caseworker = try await office.city.staff(roles: [.caseworker])
            let auditor = try await office.city.staff(roles: [.auditor])
            for path in ["/staff/payouts", "/staff/payouts/report"] {
                #expect(try await CityBrowser(client).get(path).headers[.location]?.contains("/sign-in") == true)
                #expect(try await CityBrowser(client, session: ada.session).get(path).status == 403)
                #expect(try await CityBrowser(client, session: caseworker.session).get(path).status == 403)
            }
            let resident = CityBrowser(client, session: ada.session)
            #expect(try await resident.get("/money-out").text.contains("It goes to your account"))
            #expect(try await resident.post("/money-out", [("id", PayoutID.new().description), ("currency", "EUR"), ("amount", "1000.00")]).status == 422)
            #expect(try await resident.post("/money-out", [("id", PayoutID.new().description), ("currency", "EUR"), ("amount", "12.34")]).status == 303)
            #expect(try await resident.get("/money-out").text.contains("Set aside"))

            let preparer = CityBrowser(client, session: office.preparer.session)
            let list = try await preparer.get("/staff/payouts")
            #expect(list.text.contains("€12.34"))
            let id = try #require(list.text.firstMatch(of: /name="id" value="([^"]+)"/)?.1)
            let fields = [("id", String(id)), ("currency", "EUR"), ("execute_on-day", "1"), ("execute_on-month", "3"), ("execute_on-year", "2999")]
            #expect(try await preparer.post("/staff/payouts", fields.map { $0.0 == "execute_on-year" ? ($0.0, "2001") : $0 }).status == 422)
            for _ in 0..<2 { #expect(try await preparer.post("/staff/payouts", fields).headers[.location] == "/staff/payouts/\(id)") }
            #expect(try await office.count("payouts.batch") == 1)
            let own = try await preparer.get("/staff/payouts/\(id)").text
            #expect(own.contains("did not prepare it") && !own.contains("/approve"))
            #expect(try await preparer.post("/staff/payouts/\(id)/approve", []).status == 403)

            let approver = CityBrowser(client, session: office.approver.session)
            let page = try await approver.get("/staff/payouts/\(id)").text
            let main = try #require(page.range(of: "<main")?.lowerBound)
            #expect(page[main...].firstMatch(of: /<form method="post" action="([^"]+)"/)?.1 == "/staff/payouts/\(id)/approve")
            for _ in 0..<2 { #expect(try await approver.post("/staff/payouts/\(id)/approve", []).status == 303) }
            #expect(try await approver.get("/staff/payouts/\(id)/file.xml").status == 404)
            let batch = try await office.batch(try #require(PayoutBatchID(String(id))))
            let file = try await office.files().write(batch.reference)
            let hash = file.sha256.map { String(format: "%02x", $0) }.joined()
            #expect(try await approver.get("/staff/payouts/\(id)").text.contains(hash))
            let watcher = CityBrowser(client, session: auditor.session)
            #expect(try await watcher.get("/staff/payouts/\(id)").text.contains(hash))
            #expect(try await watcher.get("/staff/payouts/\(id)/file.xml").status == 403)
            let download = try await preparer.get("/staff/payouts/\(id)/file.xml")
            #expect(download.status == 200 && Array(SHA256.hash(data: Data(download.text.utf8))) == file.sha256)
            #expect(try await office.city.entryCount(where: "operation = 'payout' AND subject_id = \(ada.id) AND actor_id = \(office.preparer.id.description)") == 1)

            _ = try await preparer.get("/staff/payouts/report")
            let wrong = try await preparer.post("/staff/payouts/report", [("report", statusReport(batch, group: "ACSC", sum: "12.35"))])
            #expect(wrong.status == 422 && wrong.text.contains("another control sum"))
            #expect(try await preparer.post("/staff/payouts/report", [("report", statusReport(batch, group: "RJCT"))]).status == 303)
            #expect(try await preparer.get("/staff/payouts/\(id)").text.contains("rejected: 1"))
            let failed = try await resident.get("/money-out").text
            let again = try #require(failed.firstMatch(of: /action="(\/money-out\/[^"]+\/again)"/)?.1)
            for _ in 0..<2 { #expect(try await resident.post(String(again), []).status == 303) }
            #expect(try await office.count("payouts.instruction") == 2)
            #expect(try await office.addsUp())
        }
    }
}
