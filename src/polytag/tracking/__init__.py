"""What people look at: console tables, plots, the report, and the loggers of dashboards."""
