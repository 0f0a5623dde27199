// Importing into a real database: everything in, nothing twice, nothing lost, nothing readable.
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import Web
import Testing

@testable import Register

@Suite("Import of residents")
struct ImportResidentsTests {
    private static let header = ResidentCSV.columns.joined(separator: ",")
    private let vault = ResidentVault(keyEncryptionKey: [UInt8](repeating: 1, count: 32))
    private let lookup = LookupKey(secret: [UInt8](repeating: 2, count: 32))

    private func withImport(_ body: (TestDatabase, Database, ImportResidents) async throws -> Void) async throws {
        let test = try await TestCluster.migrated()
        let database = try Database(configuration: Database.Configuration(url: test.appURL), logger: Logger(label: "test"))
        try await body(test, database, ImportResidents(database: database, vault: vault, lookup: lookup, today: CalendarDay("2026-11-21")!))
        await database.shutdown()
        try await test.drop()
    }

    /// A file in a directory of its own.
    private func file(_ lines: [[UInt8]]) throws -> String {
        let file = try TemporaryFolder.make().appendingPathComponent("residents.csv")
        try Data(([Array(Self.header.utf8)] + lines).flatMap { $0 + Array("\r\n".utf8) }).write(to: file)
        return file.path
    }

    /// A made-up record: number, check digit and birth date agree.
    private func line(_ index: Int, given: String = "Ada", phone: String = "") -> [UInt8] {
        let month = String(index / 28 % 12 + 101).dropFirst()
        let day = String(index % 28 + 101).dropFirst()
        let digits = "70\(month)\(day)" + String(String(index + 100_000).dropFirst())
        let sum = digits.utf8.reversed().enumerated().reduce(0) { sum, digit in
            let value = Int(digit.element - 48) * (digit.offset.isMultiple(of: 2) ? 2 : 1)
            return sum + (value > 9 ? value - 9 : value)
        }
        return Array("\(digits)\((10 - sum % 10) % 10),\(given),Lovelace,1970-\(month)-\(day),1 High Street,10000,Hill,\(phone),,en".utf8)
    }

    @Test func loadsAllOnceAndChangesNothingTheSecondTime() async throws {
        try await withImport { test, _, residents in
            let path = try file((0..<1_234).map { line($0) })
            let first = try await residents.run(file: path)
            #expect((first.records, first.inserted, first.updated, first.unchanged, first.refused) == (1_234, 1_234, 0, 0, 0))
            #expect(first.rejectedFile == nil)
            let content = "SELECT count(*), md5(string_agg(sealed_value::text || recorded_at, '' ORDER BY resident_id, attribute)) FROM register.sealed_attribute"
            let before = try await test.psql(content)
            #expect(before.hasPrefix("\(1_234 * 8)|"))
            let second = try await residents.run(file: path)
            #expect((second.inserted, second.updated, second.unchanged) == (0, 0, 1_234))
            #expect(try await test.psql(content) == before)
            #expect(try await test.psql("SELECT count(*) FROM register.import_staging") == "0")
        }
    }

    @Test func sealsWhatItLoadsAndKeepsItExactly() async throws {
        try await withImport { test, _, residents in
            let name = "<b>Ana</b> \"Nani\"\u{301} "
            var fields = line(7).split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map(Array.init)
            fields[1] = Array(name.utf8)
            #expect(try await residents.run(file: try file([ResidentCSV.written(fields)])).inserted == 1)
            let row = try await test.psql(
                """
                SELECT r.id, k.key_id, encode(k.wrapped_key, 'hex'), encode(a.sealed_value, 'hex') FROM register.resident r
                JOIN register.data_key k ON k.resident_id = r.id JOIN register.sealed_attribute a ON a.resident_id = r.id WHERE a.attribute = 'given_names'
                """).split(separator: "|").map(String.init)
            try #require(row.count == 4)
            let resident = try #require(ResidentID(row[0]))
            let key = try vault.unwrap(WrappedKey(keyID: row[1], bytes: bytes(hex: row[2])), of: resident)
            #expect(try vault.open(bytes(hex: row[3]), as: .givenNames, of: resident, under: key) == name)
        }
    }

    @Test func replacesWhatChangedAndNothingElse() async throws {
        try await withImport { test, _, residents in
            _ = try await residents.run(file: try file((0..<3).map { line($0) }))
            let codes = "SELECT string_agg(public_code, ',' ORDER BY id) FROM register.resident"
            let before = try await test.psql(codes)
            let report = try await residents.run(file: try file([line(0), line(1, given: "Augusta", phone: "+254712345678"), line(2)]))
            #expect((report.inserted, report.updated, report.unchanged) == (0, 1, 2))
            #expect(try await test.psql(codes) == before)
            #expect(try await test.psql("SELECT count(*) FROM register.sealed_attribute WHERE attribute = 'phone'") == "1")
            let again = try await residents.run(file: try file([line(0), line(1), line(2)]))
            #expect(again.updated == 1)
            #expect(try await test.psql("SELECT count(*) FROM register.sealed_attribute WHERE attribute = 'phone'") == "0")
        }
    }

    @Test func leavesWhatTheCounterCorrected() async throws {
        try await withImport { test, _, residents in
            _ = try await residents.run(file: try file([line(0), line(1)]))
            // One of the two was corrected: a name, and the look-up that goes by it.
            let corrected = "(SELECT min(resident_id::text)::uuid FROM register.import_record)"
            _ = try await test.psql(
                "UPDATE register.sealed_attribute SET source = 'counter' WHERE attribute = 'family_name' AND resident_id = \(corrected)")
            _ = try await test.psql(
                """
                UPDATE register.lookup SET hmac = sha256('corrected') WHERE kind = 'name_and_birth_date' AND resident_id = \(corrected)
                """)
            let value = "SELECT md5(sealed_value::text) FROM register.sealed_attribute WHERE attribute = 'family_name' AND source = 'counter'"
            let before = try await test.psql(value)
            let report = try await residents.run(file: try file([line(0, phone: "+254712345678"), line(1, phone: "+254712345678")]))
            #expect((report.inserted, report.updated) == (0, 2))
            #expect(try await test.psql(value) == before)
            #expect(try await test.psql("SELECT count(*) FROM register.sealed_attribute WHERE attribute = 'phone'") == "2")
            #expect(try await test.psql("SELECT count(*) FROM register.lookup WHERE hmac = sha256('corrected')") == "1")
            #expect(try await test.psql("SELECT count(*) FROM register.lookup") == "4")
        }
    }

    @Test func losesNothingOfABadFile() async throws {
        try await withImport { test, _, residents in
            let latin1 = Array(line(5, given: "Jos").prefix(16) + [0xE9] + line(5).suffix(20))
            let nul = Array(String(decoding: line(6), as: UTF8.self).replacingOccurrences(of: "Ada", with: "A\0da").utf8)
            let path = try file([line(1), line(1), Array("990101,Too,Few".utf8), latin1, nul, line(2), Array("\"unfinished".utf8)])
            let refused = Refused()
            let report = try await residents.run(file: path, refused: { refused.append($0) })
            #expect((report.records, report.inserted, report.refused) == (7, 2, 5))
            #expect(refused.all.map(\.number) == [2, 3, 4, 5, 7])
            #expect(refused.all.map(\.line) == [3, 4, 5, 6, 8])
            #expect(refused.all[0].reason == "national_number is that of record 1 (line 2)")
            let rejected = try #require(report.rejectedFile)
            #expect(rejected.hasSuffix("/residents.rejected.csv"))
            let kept = try Data(contentsOf: URL(fileURLWithPath: rejected))
            for piece in [line(1), Array("990101,Too,Few".utf8), latin1, nul, Array("\"unfinished".utf8)] {
                #expect(kept.range(of: Data(piece)) != nil)
            }
            #expect(try FileManager.default.attributesOfItem(atPath: rejected)[.posixPermissions] as? NSNumber == 0o600)
            #expect(try await test.psql("SELECT count(*) FROM register.resident") == "2")
        }
    }

    @Test func takesTheCorrectedFileOfRejectedRecords() async throws {
        try await withImport { _, _, residents in
            let wrong = Array(String(decoding: line(3), as: UTF8.self).replacingOccurrences(of: "1970-", with: "1971-").utf8)
            let report = try await residents.run(file: try file([line(1), wrong]))
            let rejected = try #require(report.rejectedFile)
            let corrected = try String(contentsOfFile: rejected, encoding: .utf8).replacingOccurrences(of: "1971-", with: "1970-")
            try Data(corrected.utf8).write(to: URL(fileURLWithPath: rejected))
            #expect(try await residents.run(file: rejected).inserted == 1)
        }
    }

    @Test func writesRejectedRecordsWhereItCan() async throws {
        try await withImport { _, _, residents in
            let path = try file([Array("x".utf8)])
            // A directory in the way of the file: nothing can be written there, whoever runs this.
            let blocked = URL(fileURLWithPath: path).deletingPathExtension().path + ".rejected.csv"
            try FileManager.default.createDirectory(atPath: blocked, withIntermediateDirectories: true)
            let report = try await residents.run(file: path)
            let rejected = try #require(report.rejectedFile)
            #expect(rejected == FileManager.default.currentDirectoryPath + "/residents.rejected.csv")
            try FileManager.default.removeItem(atPath: rejected)
        }
    }

    @Test func twoImportsAtOnceLoadEachRecordOnce() async throws {
        try await withImport { test, _, residents in
            let path = try file((0..<700).map { line($0) })
            let reports = try await withThrowingTaskGroup(of: ImportReport.self) { group in
                for _ in 0..<3 { group.addTask { try await residents.run(file: path) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(reports.map(\.inserted).reduce(0, +) == 700)
            #expect(reports.allSatisfy { $0.inserted + $0.unchanged == 700 })
            #expect(try await test.psql("SELECT count(*) FROM register.resident") == "700")
        }
    }

    @Test func leavesTheServingRoleUnableToReadWhatItLoaded() async throws {
        try await withImport { _, database, residents in
            _ = try await residents.run(file: try file([line(1)]))
            for table in ["sealed_attribute", "lookup", "import_record", "import_staging", "data_key"] {
                let error = await #expect(throws: DatabaseError.self) { try await database.execute("SELECT 1 FROM register.\(unsafeRaw: table)") }
                #expect(error?.isPermissionDenied == true)
            }
        }
    }

    private func bytes(hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }
}

/// Refused records as they are told, from whatever task.
private final class Refused: @unchecked Sendable {
    private let lock = NSLock()
    private var records: [RefusedRecord] = []

    var all: [RefusedRecord] { lock.withLock { records } }
    func append(_ record: RefusedRecord) { lock.withLock { records.append(record) } }
}
