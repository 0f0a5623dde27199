// A city with one resident, a sequencer and a verifier of its log.
import City
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import TransparencyLog
import Web

@testable import AccessLog

struct LogTown {
    let city: CityFixture
    let resident: FixtureResident
    let door: Door
    let signer: Ed25519NoteSigner
    let sequencer: Sequencer
    let verifier: LogVerifier

    static func make() async throws -> LogTown {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let signer = try Ed25519NoteSigner.generate(name: "log.example/test")
        let auditor = try Database(configuration: .init(url: city.test.auditorURL), logger: Logger(label: "test"))
        return LogTown(
            city: city, resident: resident, door: Door(database: city.app), signer: signer,
            sequencer: Sequencer(database: city.app, signer: signer, logger: Logger(label: "test")),
            verifier: LogVerifier(database: auditor, verifier: signer.verifier))
    }

    /// What residents are told of the log.
    var entries: AccessEntries { AccessEntries(database: city.app, door: door) }

    /// Those that are shown.
    var heads: LogHeads { LogHeads(database: city.app, verifier: signer.verifier) }

    /// What somebody who owns the machine can do: triggers do not fire, rights do not count.
    func tamper(_ statements: [SQL]) async throws {
        let superuser = try Database(configuration: .init(url: city.test.superuserURL), logger: Logger(label: "test"))
        try await superuser.transaction { transaction in
            try await transaction.execute("SET LOCAL session_replication_role = replica")
            for statement in statements { _ = try await transaction.execute(statement) }
        }
        await superuser.shutdown()
    }

    /// What somebody who owns the signing key can do as well: the heads are gone, and a new one fits the leaves that are left.
    func signAnew() async throws {
        try await tamper([
            "DELETE FROM access_log.checkpoint",
            """
            UPDATE access_log.leaf AS l SET index = n.place - 1 + 1000000
            FROM (SELECT entry_id, row_number() OVER (ORDER BY index) AS place FROM access_log.leaf) AS n WHERE n.entry_id = l.entry_id
            """,
            "UPDATE access_log.leaf SET index = index - 1000000",
        ])
        var tree = CompactRange()
        for commitment in try await city.owner.query(OneValue("SELECT commitment FROM access_log.leaf ORDER BY index", of: [UInt8].self)) {
            tree.append(.leaf(CommittedEntry.label.leafData(commitment)))
        }
        let note = try Checkpoint(origin: signer.name, size: tree.size, root: tree.root).signed(by: [signer])
        try await tamper([
            """
            INSERT INTO access_log.checkpoint (tree_size, root, frontier, note)
            VALUES (\(Int64(tree.size)), \(tree.root.bytes), \(tree.hashes.map(\.bytes)), \(note.description))
            """
        ])
    }
}

extension ProvenEntry {
    /// What it says, where that is an access entry.
    var entry: CommittedEntry? { if case .entry(let entry) = content { entry } else { nil } }
}

/// A caseworker looks the resident up `count` times.
func look(_ count: Int, at resident: FixtureResident, by staff: FixtureStaff, through door: Door) async throws {
    for _ in 0..<count {
        _ = try await door.read(
            AccessRequest(
                credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [],
                purpose: "assistance", caseReference: "CASE-1"))
    }
}
