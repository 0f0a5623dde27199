// `stoa import residents FILE.csv`: an extract of the population register, checked record by record. `stoa import statement FILE.xml`: what the
// bank says about the city's accounts, whole or not at all.
import ArgumentParser
import Foundation
import ISO20022
import Payments
import Postgres
import Register

/// `stoa import …`
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Loads registers from files.", subcommands: [ImportResidentsCommand.self, ImportStatementCommand.self])
}

/// `stoa import residents FILE.csv`
struct ImportResidentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "residents", abstract: "Loads an extract of the population register.",
        discussion: """
            Good records are loaded; each refused one is told with its number, line and reason, and written to FILE.rejected.csv, so that it can be
            corrected and imported. Run again, also after an interruption, it loads what is new or changed and leaves the rest alone.
            Exit status 1 when any record was refused.
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "A CSV file in UTF-8, with the column names in its first line.", completion: .file(extensions: ["csv"])) var file: String

    func run() async throws {
        try requireReadable(file)
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let file = self.file
        let report = try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
            try await installation.migrate()
            return try await installation.withPool(.app, logger: logger) { database in
                let keys = try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson)
                let progress = ProgressReport("Importing residents")
                let report = try await ImportResidents(database: database, vault: keys.vault, lookup: keys.lookup, today: try configuration.today).run(
                    file: file, progress: { bytes, all, records in progress.update(bytes, of: all, amount: "\(records) records") },
                    refused: { progress.say("Record \($0.number) (line \($0.line)) is refused: \($0.reason)") })
                progress.finish(1, of: 1, amount: "\(report.records) records")
                return report
            }
        }
        print("\(report.records) records: \(report.inserted) new, \(report.updated) changed, \(report.unchanged) unchanged, \(report.refused) refused.")
        if let rejected = report.rejectedFile { print("The refused records are in \(rejected).") }
        if report.refused > 0 { throw ExitCode.failure }
    }
}

/// `stoa import statement FILE.xml`
struct ImportStatementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "statement", abstract: "Loads an account statement or a notification of the bank.",
        discussion: """
            FILE is an ISO 20022 message: camt.053 or camt.054, of the versions 001.02, 001.04 and 001.08. It is read whole or refused whole, with the line and
            the reason. Every movement is booked once, whatever files tell of it; imported again, a file changes nothing. A statement whose balances do not
            add up books nothing until a finance officer decides. Exit status 1 when the file was refused or a statement waits for a decision.
            """)

    @OptionGroup var common: CommonOptions
    @Argument(help: "A file of the bank, XML in UTF-8.", completion: .file(extensions: ["xml"])) var file: String

    func run() async throws {
        try requireReadable(file)
        let size = (try FileManager.default.attributesOfItem(atPath: file)[.size] as? NSNumber)?.intValue ?? 0
        guard size <= BankFile.bytesMax else { throw SetupError("\(file): \(BankFileFault(line: 1, .tooLarge(bytesMax: BankFile.bytesMax)))") }
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
        let configuration = try await common.load()
        let logger = configuration.makeLogger()
        let outcome: BankImport
        do {
            outcome = try await Installation.with(configuration, creatingData: false, say: sayToPerson) { installation in
                try await installation.migrate()
                return try await installation.withPool(.owner, logger: logger) { try await BankAdministration(owner: $0).importFile(bytes) }
            }
        } catch let fault as BankFileFault {
            throw SetupError("\(file), \(fault) Nothing was booked.")
        } catch BankImportRefusal.accountUnknown(let account, let line) {
            throw SetupError("\(file), line \(line): \(account) is no account of the city (`stoa bank-account add`). Nothing was booked.")
        }
        guard case .imported(let reports) = outcome else {
            print("This file was imported before. Nothing was changed.")
            return
        }
        for report in reports {
            if report.problems.isEmpty {
                print("\(report.account): \(report.booked) movements booked, \(report.known) known already, \(report.matched) payments matched to bills.")
            } else {
                print("\(report.account): waits for a finance officer (\(report.problems.joined(separator: ", "))); nothing of it is booked.")
            }
        }
        if reports.contains(where: { !$0.problems.isEmpty }) { throw ExitCode.failure }
    }
}

/// Says what is wrong with a path before a database is made or started for it.
private func requireReadable(_ path: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
        throw SetupError("There is no file \(path). Give the file to import.")
    }
    guard !isDirectory.boolValue else { throw SetupError("\(path) is a directory. Give one file in it; each file is an import of its own.") }
    guard FileManager.default.isReadableFile(atPath: path) else {
        throw SetupError("\(path) cannot be read by the user who runs this. Give that user the right to read it.")
    }
}

extension StoaConfiguration {
    /// The calendar day in the city.
    var today: CalendarDay {
        get throws {
            let style = Date.ISO8601FormatStyle(timeZone: city.timeZone).year().month().day()
            guard let day = CalendarDay(Date().formatted(style)) else { throw SetupError("The clock of this machine shows no calendar day.") }
            return day
        }
    }
}
