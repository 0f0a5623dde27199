// `stoa migrate`: the schema alone, for those who do not let a serving process change it.
import ArgumentParser

/// `stoa migrate`
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Brings the database to the newest schema.",
        discussion: "Runs each new script of migrations/ once, in a transaction of its own. Two at a time wait for one another. Run twice it changes nothing.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        try await Installation.with(try await common.load(), creatingData: true, say: sayToPerson) { try await $0.migrate() }
        print("The database is up to date.")
    }
}
